"""What answers are worth: diagnosis, spam detection, gates, assessments."""
