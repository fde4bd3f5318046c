"""The two-person rule: acts on owners that a second owner confirms. See docs/two-person-rule.md."""
