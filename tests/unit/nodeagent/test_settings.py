"""The services file as it is read from the disk."""

from nodeagent.settings import load_services


def test_a_byte_order_mark_is_no_part_of_the_services_file(tmp_path):
    path = tmp_path / "services.toml"
    path.write_bytes(b'\xef\xbb\xbf[[consumer]]\nname = "web"\nreload = ["/usr/sbin/nginx"]\n')
    services, _ = load_services(path)
    (consumer,) = services.consumers
    assert consumer.name == "web"
