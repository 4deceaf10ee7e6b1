"""Files from the network: whole, checked, resumed, and with one error that says what to do."""
