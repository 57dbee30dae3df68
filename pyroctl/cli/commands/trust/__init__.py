"""Commands about who may connect: secrets, certificates, and how a host joins a site."""
