"""The Faust worker: agents that finish before they acknowledge; the only place where Faust is imported."""
