"""Take some pictures and compare them; a service that ends when its work is done."""

from Pyro5.api import Proxy


def main():
    with Proxy("PYRONAME:lab.camera") as camera:
        pictures = [camera.snap() for _ in range(5)]
    print(f"{len(pictures)} pictures, all the same: {len(set(map(str, pictures))) == 1}")


if __name__ == "__main__":
    main()
