"""Pure functions of a History: each check says what it expects, judges, and shows the evidence."""
