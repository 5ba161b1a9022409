"""From bytes to outcome: attempts, retries, letters and the gate; pure, with ports passed in."""
