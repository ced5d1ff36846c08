from fastapi.testclient import TestClient


def test_an_address_that_is_not_there_is_a_404(client: TestClient) -> None:
    assert client.get("/nowhere").status_code == 404
