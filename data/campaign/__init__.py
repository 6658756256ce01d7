"""What a campaign asks for: its settings and its queries."""

from data.campaign.campaign import Campaign, load_campaign

__all__ = ["Campaign", "load_campaign"]
