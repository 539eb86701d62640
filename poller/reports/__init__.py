"""What the meetings get: monthly capacity review, quarterly and yearly summary, half-yearly traffic reports.

    periods -> reading (stores) -> figures (pure) -> documents (pure: text, tables, pictures) -> pdf, xlsx, csv

Figures are computed once, a document is built from them as plain data that tests can read, and what renders it does no
arithmetic. Nothing here writes to a store or talks to the daemon.
"""
