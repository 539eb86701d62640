"""From samples to mails: rules, alerts, incidents, notices and the outbox. `engine.Alerting` is the way in."""
