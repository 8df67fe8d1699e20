"""What every program needs and none invents again: settings, secrets, logs, files that change, health, Kafka."""
