"""What every service process needs: readiness and watchdog protocol, signals, logs."""
