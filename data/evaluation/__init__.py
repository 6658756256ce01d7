"""Who answers better: systems side by side, judged, and the gate of the promotion."""
