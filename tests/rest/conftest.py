import pytest

from service import ROOT, Client, Service

NOTES = ROOT / "examples" / "quickstart" / "allotments.md"


@pytest.fixture(scope="session")
def service():
    with Service() as service:
        yield service


@pytest.fixture(scope="session")
def client(service):
    return Client(service.url, service.key)


@pytest.fixture(scope="session")
def corpus(client):
    """A corpus with one document that has been read."""
    corpus = client.corpus("allotments")
    job = client.ended(client.upload(corpus, {"notes.md": NOTES.read_bytes()})["job_id"])
    assert job["state"] == "succeeded", job
    return corpus
