"""The domain of smart homes: devices, settings, and what a reply does to them."""
