"""Networks that metrics look through: own definitions that load the published weights strictly."""
