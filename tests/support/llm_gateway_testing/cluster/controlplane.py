"""etcd, an API server and a controller manager for the length of a `with`: all of Kubernetes but the nodes.

Objects are validated, defaulted, stored, watched, authorised and collected as in any cluster; a Deployment gets its
ReplicaSet and Pods. Nothing runs the pods: a test that needs them available patches their status.
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from llm_gateway_testing.cluster import commands
from llm_gateway_testing.cluster.build import assets as built_assets
from llm_gateway_testing.cluster.commands import Layout
from llm_gateway_testing.cluster.credentials import Credentials
from llm_gateway_testing.cluster.errors import ClusterUnavailable
from llm_gateway_testing.cluster.kubectl import Kubectl, Output
from llm_gateway_testing.cluster.part import Part
from llm_gateway_testing.cluster.ports import free_ports
from llm_gateway_testing.cluster.probe import answers
from llm_gateway_testing.cluster.scratch import scratch

PartName = Literal["apiserver", "controller-manager"]
ALL_PARTS: tuple[PartName, ...] = ("apiserver", "controller-manager")
PROGRAMS = {"apiserver": "kube-apiserver", "controller-manager": "kube-controller-manager"}
READY_LIMIT = 60.0  # seconds, for each part


class ControlPlane:
    """`with ControlPlane() as cluster:`; several at once are fine.

    `parts`: the API server with or without the controller manager; without it no ServiceAccount is made for a
    namespace, nothing is rolled out and nothing collected. `crds`: files or folders of CustomResourceDefinitions to
    have from the start: the garbage collector looks for new kinds only every 30 s, so what belongs to an object of
    a kind that came later may outlive it by 40 s. `assets`: a folder of programs, else build.assets().
    Use it from a thread that outlives it: its processes end with the thread that started them.
    """

    def __init__(
        self,
        parts: tuple[PartName, ...] = ALL_PARTS,
        crds: tuple[Path, ...] = (),
        assets: Path | None = None,
    ) -> None:
        self._parts = parts
        self._crds = crds
        self._assets = assets
        self._stack = ExitStack()
        self._running: list[Part] = []

    def __enter__(self) -> Self:
        """Returns when all of it works. Raises ClusterUnavailable, and then nothing is left behind."""
        with self._stack as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.logs())
        self._stack.close()

    @property
    def folder(self) -> Path:
        """Where all of it is written: keys, kubeconfigs, data and logs. Gone at the end."""
        return self._at.folder

    @property
    def server(self) -> str:
        """https://127.0.0.1:PORT"""
        return self._at.server

    @property
    def authority(self) -> Path:
        """The certificate that signed the server's, PEM."""
        return self._at.key("ca.crt")

    @property
    def admin_kubeconfig(self) -> Path:
        """Of a member of system:masters: no check of RBAC applies to it."""
        return self._credentials.admin

    def kubectl(self, *args: str, stdin: str | None = None, as_kubeconfig: Path | None = None) -> Output:
        """As admin, unless told otherwise. A failure is in the Output; `.text()` and `.json()` raise it."""
        return self._kubectl.run(*args, stdin=stdin, kubeconfig=as_kubeconfig)

    def token_for(self, namespace: str, service_account: str) -> str:
        """By the TokenRequest API, good for an hour. Raises AssertionError if there is no such account."""
        return self.kubectl("create", "token", service_account, f"--namespace={namespace}").text()

    def kubeconfig_for(self, token: str) -> Path:
        return self._credentials.with_token(token)

    def pause_apiserver(self) -> None:
        """It hangs: connections stay open and nothing is answered."""
        self._apiserver.pause()

    def resume_apiserver(self) -> None:
        self._apiserver.resume()

    def stop_apiserver(self) -> None:
        """It is gone: connections break and new ones are refused. etcd keeps what was written."""
        self._apiserver.stop()

    def start_apiserver(self) -> None:
        """On the same port, and ready on return. Raises ClusterUnavailable."""
        self._apiserver.start()
        self._await_apiserver()

    def logs(self) -> str:
        """The end of each part's log."""
        return "\n".join(f"--- {part.name}\n{part.log()}" for part in self._running)

    def _start(self, stack: ExitStack) -> None:
        """In this order: an API server that finds no etcd would sit in a back-off of its connection."""
        programs = self._programs()
        folder = stack.enter_context(scratch())
        self._at = Layout(programs, folder, *free_ports(3))
        self._credentials = Credentials(self._at)
        self._kubectl = Kubectl(programs / "kubectl", self._credentials.admin, folder)
        etcd = self._launch(stack, "etcd", commands.etcd(self._at))
        etcd.wait_until(lambda: answers(f"{self._at.etcd}/health"), READY_LIMIT)
        self._apiserver = self._launch(stack, "apiserver", commands.apiserver(self._at))
        self._await_apiserver()
        self._install_crds()
        if "controller-manager" in self._parts:
            manager = self._launch(stack, "controller-manager", commands.controller_manager(self._at))
            manager.wait_until(self._controllers_work, READY_LIMIT)

    def _programs(self) -> Path:
        folder = self._assets or built_assets()
        needed = ["etcd", "kubectl", *(PROGRAMS[part] for part in self._parts)]
        missing = [name for name in needed if not (folder / name).exists()]
        if missing:
            raise ClusterUnavailable(f"{folder} (KUBEBUILDER_ASSETS?) has no {', '.join(missing)}")
        return folder

    def _launch(self, stack: ExitStack, name: str, command: list[str]) -> Part:
        part = Part(name, command, self._at.folder / f"{name}.log")
        stack.callback(part.stop)  # before it starts: an interrupt between the two must not leave it
        self._running.append(part)
        part.start()
        return part

    def _await_apiserver(self) -> None:
        url = f"{self._at.server}/readyz"
        self._apiserver.wait_until(lambda: answers(url, self.authority), READY_LIMIT)

    def _install_crds(self) -> None:
        if not self._crds:
            return
        files = [f"--filename={path}" for path in self._crds]
        for command in (["apply", "--server-side"], ["wait", "--for=condition=Established", "--timeout=60s"]):
            done = self.kubectl(*command, *files)
            if not done.ok:
                raise ClusterUnavailable(done.failure)

    def _controllers_work(self) -> bool:
        """It serves nothing itself: what shows that it works is what its controllers make."""
        return self.kubectl("get", "serviceaccount", "default", "--namespace=default").ok
