"""How this instance presents itself: name, logo, accent color, support address.

Settings come first, then the row of core.models.Branding, then the defaults; see decision 0031.
"""
