"""Sign-in through Google, Facebook, GitHub, Discord and Apple: one Flow each."""
