"""The command line of each part, from one record of paths and ports. Flags without a comment say what they do."""

from dataclasses import dataclass
from pathlib import Path

SERVICES = "10.0.0.0/24"
FIRST_SERVICE = "10.0.0.1"  # the API server's own Service: a name of its certificate
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one control plane is. `assets`: the programs; `folder`: all that is written."""

    assets: Path
    folder: Path
    etcd_port: int
    etcd_peer_port: int
    api_port: int

    @property
    def etcd(self) -> str:
        return f"http://{LOOPBACK}:{self.etcd_port}"

    @property
    def server(self) -> str:
        return f"https://{LOOPBACK}:{self.api_port}"

    def key(self, name: str) -> Path:
        return self.folder / "pki" / name

    def program(self, name: str) -> str:
        return str(self.assets / name)


def etcd(at: Layout) -> list[str]:
    peer = f"http://{LOOPBACK}:{at.etcd_peer_port}"
    return [
        at.program("etcd"),
        "--name=test",
        f"--data-dir={at.folder / 'etcd'}",
        f"--listen-client-urls={at.etcd}",
        f"--advertise-client-urls={at.etcd}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=test={peer}",
        "--unsafe-no-fsync",  # nothing has to survive the machine
        "--log-level=warn",
    ]


def apiserver(at: Layout) -> list[str]:
    return [
        at.program("kube-apiserver"),
        f"--etcd-servers={at.etcd}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        "--endpoint-reconciler-type=none",  # Endpoints may not hold a loopback address
        f"--secure-port={at.api_port}",
        f"--cert-dir={at.folder / 'pki'}",
        f"--tls-cert-file={at.key('server.crt')}",
        f"--tls-private-key-file={at.key('server.key')}",
        f"--client-ca-file={at.key('ca.crt')}",
        f"--service-account-key-file={at.key('tokens.pub')}",
        f"--service-account-signing-key-file={at.key('tokens.key')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--shutdown-delay-duration=0s",
    ]


def controller_manager(at: Layout) -> list[str]:
    kubeconfig = at.folder / "controller-manager.kubeconfig"
    return [
        at.program("kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",  # nobody asks it anything: one port less to find
        "--leader-elect=false",
        "--use-service-account-credentials=true",  # each controller has the rights of its own role
        f"--root-ca-file={at.key('ca.crt')}",
        f"--service-account-private-key-file={at.key('tokens.key')}",
        f"--cert-dir={at.folder / 'pki'}",
        f"--flex-volume-plugin-dir={at.folder / 'flex'}",  # else it makes a folder under /usr/libexec
        # With the default of 20 its controllers need 5 s to start: each makes a ServiceAccount and a token.
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
    ]
