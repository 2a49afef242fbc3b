"""Keys and certificates of one cluster: EC P-256 throughout, so ServiceAccount tokens are ES256."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=30)  # a cluster at the keyboard may stay up for days
BACKDATED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A root that signs client and server certificates, all valid around `now` (aware)."""

    def __init__(self, name: str, now: datetime) -> None:
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name, None)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        root = (
            self._unsigned(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, SHA256())
        )
        self.certificate = root.public_bytes(Encoding.PEM)

    def client(self, user: str, group: str | None = None) -> Pair:
        """What the API server knows as `user` of `group`."""
        return self._issue(_name(user, group), ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def server(self, names: list[str], addresses: list[IPv4Address]) -> Pair:
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(address) for address in addresses]
        return self._issue(
            _name(names[0], None), ExtendedKeyUsageOID.SERVER_AUTH, x509.SubjectAlternativeName(alternatives)
        )

    def _issue(
        self, name: x509.Name, purpose: x509.ObjectIdentifier, extra: x509.ExtensionType | None
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._unsigned(name, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if extra is not None:
            builder = builder.add_extension(extra, critical=False)
        certificate = builder.sign(self._key, SHA256())
        return Pair(certificate.public_bytes(Encoding.PEM), private_pem(key))

    def _unsigned(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - BACKDATED)
            .not_valid_after(self._now + LIFETIME)
        )


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What ServiceAccount tokens are signed and checked with, PEM."""

    private: bytes
    public: bytes


def signing_key() -> SigningKey:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return SigningKey(private_pem(key), public)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _name(common: str, organization: str | None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organization is not None:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)
