"""From files and the environment to one document whose values know their origin."""
