"""Kind `object`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pyroctl.core.key_types import (
    NO_FLAG,
    Address,
    File,
    Files,
    Filled,
    FixedPort,
    Flag,
    Host,
    InstanceMode,
    Keywords,
    MessageSize,
    Names,
    Object,
    Objects,
    Port,
    Positive,
    Seconds,
    Serializer,
    ServerType,
    Truth,
    Values,
)
from pyroctl.core.options.tls import TlsOptions


@dataclass(frozen=True, slots=True)
class ObjectOptions(TlsOptions):
    """Kind `object`: a Pyro class, hosted by `python -m pyro_host`. None is Pyro5's own setting."""

    object: Annotated[Object | None, NO_FLAG] = None
    """`module:Class`, `module:factory()` for the result of a call, or a module that serves."""
    objects: Objects = field(default_factory=dict)
    """Several objects of one process, by the name of each in the name server."""
    args: Values = ()
    """Arguments of the class or factory, or of the module's command line."""
    kwargs: Keywords = field(default_factory=dict)
    instance_mode: InstanceMode | None = None
    """None: that of the class."""
    expose: Truth = False
    """Whether everything public of the class is exposed, whatever the module says."""
    daemon: Object | None = None
    """`module:Class`, a subclass of Pyro5's Daemon that serves instead of it."""
    path: Files = ()
    """Directories to search for modules before the configuration file's own."""
    pyro_name: Annotated[Filled | None, Flag("--name")] = None
    """Its name in the name server. None: it isn't registered."""
    names: Names = ()
    """Further names of it."""
    metadata: Names = ()
    """What the name server stores with the name."""
    host: Host = "localhost"
    port: Port = 0
    nathost: Host | None = None
    """The host in its URI, for clients that can't use `host`."""
    natport: FixedPort | None = None
    servertype: ServerType = "thread"
    threadpool: Positive = 200
    """Maximum number of clients, with a thread each."""
    serializer: Serializer | None = None
    """Of the proxies that the object itself creates; clients choose theirs."""
    max_message_size: MessageSize | None = None
    commtimeout: Seconds | None = None
    """Time after which a silent client is disconnected; 0: never."""
    ssl_servercert: File | None = None
    """With it, clients must use TLS, as Pyro5 does it for the whole process."""
    ssl_serverkey: File | None = None
    ssl_cacerts: File | None = None
    ssl_requireclientcert: Truth = False
    ssl_clientcert: File | None = None
    ssl_clientkey: File | None = None
    ns: Address | None = None
    """A name server outside the deployment. None: the deployment's own."""

    @property
    def serves_itself(self) -> bool:
        """Whether the module has daemons, addresses and names of its own."""
        return self.object is not None and ":" not in self.object

    @property
    def all_names(self) -> tuple[str, ...]:
        """The names in the name server."""
        own = () if self.pyro_name is None else (self.pyro_name,)
        return (*own, *self.names, *self.objects)
