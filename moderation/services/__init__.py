"""What moderation does: count, score, ban, lift, explain."""
