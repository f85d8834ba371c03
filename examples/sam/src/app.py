"""Find the month that was meant; what is imported comes from a pack, and nothing here says so."""

from rapidfuzz import process

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


def handler(event, context):
    month, score, _ = process.extractOne(event["month"], MONTHS)
    return {"month": month, "score": round(score, 1)}
