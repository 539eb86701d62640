"""Be told: receive notifications from devices and say what they mean."""
