"""Template images are found by their labels, and old ones go when nobody uses them."""

from __future__ import annotations

from sandbank_server.templates.images import (
    INSTALLATION_LABEL,
    PACKAGES_IMAGE_LABEL,
    PACKAGES_LABEL,
    PYTHON_LABEL,
    TEMPLATE_LABEL,
    find_image,
    list_images,
    remove_superseded,
)
from sandbank_server.templates.model import Package

from tests.fakes.image_engine import FakeImageEngine


def labels(
    template="data", installation="mine", packages_image="sandbank-packages:1", packages='{"b":"2","a":"1"}'
):
    """Return an image's labels."""
    return {
        TEMPLATE_LABEL: template,
        INSTALLATION_LABEL: installation,
        PACKAGES_IMAGE_LABEL: packages_image,
        PACKAGES_LABEL: packages,
        PYTHON_LABEL: "3.13.5",
    }


def test_an_image_tells_its_python_and_packages():
    """The API's Template is answered from labels: nothing is started for it."""
    engine = FakeImageEngine()
    engine.add("sandbank-data:1", labels())
    image = find_image(engine, "sandbank-data:1")
    assert (image.template, image.python_version) == ("data", "3.13.5")
    assert image.packages == (Package("a", "1"), Package("b", "2"))
    assert list_images(engine) == [image]


def test_a_strange_label_is_no_error():
    """Whoever can build images can label them."""
    engine = FakeImageEngine()
    for number, strange in enumerate(("", "[]", "{", "7", '"x"')):
        engine.add(f"sandbank-data:{number}", labels(packages=strange))
    assert {image.packages for image in list_images(engine)} == {()}


def test_older_images_of_the_template_go():
    """With the packages that only they were built on."""
    engine = FakeImageEngine()
    engine.add("sandbank-packages:1")
    engine.add("sandbank-packages:2")
    engine.add("sandbank-data:old", labels())
    engine.add("sandbank-slim:1", labels("slim", packages_image="sandbank-packages:3"))
    engine.add("sandbank-data:new", labels(packages_image="sandbank-packages:2"))
    removed = remove_superseded(engine, find_image(engine, "sandbank-data:new"), "mine")
    assert removed == ["sandbank-data:old", "sandbank-packages:1"]
    assert set(engine.images) == {"sandbank-packages:2", "sandbank-slim:1", "sandbank-data:new"}


def test_what_is_used_or_of_another_installation_stays():
    """A container runs from it, or somebody else will start one."""
    engine = FakeImageEngine(in_use={"sandbank-data:used"})
    engine.add("sandbank-packages:1")
    engine.add("sandbank-data:used", labels())
    engine.add("sandbank-data:theirs", labels(installation="theirs"))
    engine.add("sandbank-data:new", labels(packages_image="sandbank-packages:2"))
    assert remove_superseded(engine, find_image(engine, "sandbank-data:new"), "mine") == []
    assert len(engine.images) == 4


def test_packages_that_two_templates_share_stay():
    """The other template's image is built on them."""
    engine = FakeImageEngine()
    engine.add("sandbank-packages:1")
    engine.add("sandbank-data:old", labels())
    engine.add("sandbank-other:1", labels("other"))
    engine.add("sandbank-data:new", labels(packages_image="sandbank-packages:2"))
    assert remove_superseded(engine, find_image(engine, "sandbank-data:new"), "mine") == ["sandbank-data:old"]
