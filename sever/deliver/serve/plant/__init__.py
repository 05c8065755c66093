"""The line around the service: cameras, alarms, messages to other systems and maps of coils; knows no HTTP routes."""
