"""People and keys in a real browser: an admin lets them in, they change their own password, and the trail tells it; and
what all of the page's places have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from page_maker import Desk, chromium, new_answer
from serve_maker import PASSWORD, Running, running

BETTER = "an even better one"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, {"security": {"logins_per_minute": 600}}) as found:
        new_answer(found)
        yield found


def at_people(served: Running, browser: Any) -> Desk:
    admin = Desk(browser, served.url, "admin").sign_in()
    admin.tab.goto(f"{served.url}/#people")
    admin.tab.wait_for_selector("#users [data-name=viewer]")
    return admin


def sign_in(desk: Desk, url: str, name: str, password: str) -> None:
    desk.tab.goto(url)
    desk.tab.fill("#name", name)
    desk.tab.fill("#password", password)
    desk.press("Enter")


def test_a_user_comes_changes_role_and_goes(served: Running, browser: Any) -> None:
    admin = at_people(served, browser)
    given = admin.tab.input_value("#new-user-password")
    assert len(given) == 16
    admin.tab.fill("#new-user", "eva")
    admin.tab.select_option("#new-user-role", "viewer")
    admin.press("Enter")
    admin.tab.wait_for_selector("#users [data-name=eva]")
    assert admin.tab.input_value("#new-user-password") != given, "nobody else gets the same one"
    eva = Desk(browser, served.url)
    sign_in(eva, served.url, "eva", given)
    eva.said("You can look but not judge")
    assert "People" not in eva.tab.inner_text("#top nav")
    eva.tab.goto(f"{served.url}/#people")
    eva.tab.wait_for_selector("#classes li")
    admin.tab.select_option("[data-name=eva] select", "reviewer")
    admin.said("role changed")
    eva.tab.reload()
    eva.tab.wait_for_selector("#judge-accepted")
    admin.tab.click("[data-name=eva] button:has-text('New password')")
    anew = admin.tab.input_value("#given-password")
    admin.tab.click("#give-password")
    admin.said("password changed")
    eva.tab.reload()
    sign_in(eva, served.url, "eva", anew)
    eva.tab.wait_for_selector("#judge-accepted")
    admin.tab.click("[data-name=eva] button.bad")
    admin.tab.click("#end-it")
    admin.said("No longer in use: eva")
    eva.tab.reload()
    eva.tab.wait_for_selector("#password")
    admin.close()
    eva.close()


def test_a_key_is_shown_once_and_works_until_its_end(served: Running, browser: Any) -> None:
    admin = at_people(served, browser)
    admin.tab.fill("#new-key", "camera 1")
    admin.press("Enter")
    admin.tab.wait_for_selector("#key-once")
    headers = {"authorization": f"Bearer {admin.tab.input_value('#key-once')}"}
    assert httpx.get(f"{served.url}/v1/session", headers=headers, trust_env=False).json()["role"] == "reviewer"
    admin.press("Escape")
    assert headers["authorization"].removeprefix("Bearer ") not in admin.tab.content()
    admin.tab.click("[data-name='camera 1'] button.bad")
    admin.tab.click("#end-it")
    admin.said("key ended")
    assert httpx.get(f"{served.url}/v1/session", headers=headers, trust_env=False).status_code == 401
    admin.close()


def test_what_is_refused_is_said_and_changes_nothing(served: Running, browser: Any) -> None:
    admin = at_people(served, browser)
    admin.tab.fill("#new-user", "viewer")
    admin.press("Enter")
    admin.said("there is, or was, a user 'viewer' already")
    assert admin.tab.input_value("#new-user") == "viewer", "what was typed stays"
    assert admin.tab.locator("[data-name=admin] select").is_disabled()
    assert admin.tab.locator("[data-name=admin] button").count() == 0
    admin.complaints = [each for each in admin.complaints if "status of 409" not in each]
    admin.close()


def test_ones_own_password_is_changed_and_work_goes_on(served: Running, browser: Any) -> None:
    desk, other = Desk(browser, served.url).sign_in(), Desk(browser, served.url).sign_in()
    desk.tab.click("#account")
    desk.tab.click("#change-password")
    for current, again in ((PASSWORD, "another"), ("a guess", BETTER), (PASSWORD, BETTER)):
        desk.tab.fill("#own-current", current)
        desk.tab.fill("#own-new", BETTER)
        desk.tab.fill("#own-again", again)
        desk.press("Enter")
        desk.said("differ" if again != BETTER else "is wrong" if current != PASSWORD else "Your password is changed.")
    desk.press("a")
    desk.said("Saved: accepted.")
    other.tab.reload()
    sign_in(other, served.url, "reviewer", PASSWORD)
    other.said("Wrong name or password.")
    sign_in(other, served.url, "reviewer", BETTER)
    other.tab.wait_for_selector("#judge-accepted")
    desk.complaints = [each for each in desk.complaints if "status of 403" not in each]
    desk.close()
    other.close()


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_place_fits_the_screen(served: Running, browser: Any, language: str) -> None:
    """Nothing is cut off or scrolled sideways on a phone; at a desk, head and tools are a row each."""
    desk = Desk(browser, served.url, "admin").sign_in()
    desk.tab.select_option("#language", language)
    desk.until("w => document.documentElement.lang === w", language)
    for width, height in ((390, 844), (1360, 820), (1920, 1080)):
        desk.tab.set_viewport_size({"width": width, "height": height})
        for place in ("review", "coils", "trends", "rules", "models", "people"):
            desk.tab.goto(f"{served.url}/#{place}")
            desk.tab.wait_for_selector(f"main.at-{place} > *")
            desk.until("w => document.documentElement.scrollWidth === w", width)
            if width > 1000:
                desk.until("most => document.getElementById('top').offsetHeight < most", 60)
            if width > 1000 and place == "review":
                desk.until("most => document.querySelector('.toolbar').offsetHeight < most", 80)
                desk.until("h => document.documentElement.scrollHeight === h", height)  # no scrolling at a desk
    desk.close()


def test_alarms_are_seen_one_by_one_or_all_and_stay_to_be_looked_up(tmp_path: Path, browser: Any) -> None:
    alarms = [{"name": "covered", "kind": "share", "share": 0.01}]
    with running(tmp_path, {"alarms": alarms, "security": {"logins_per_minute": 600}}) as served:
        for seed in range(3):
            new_answer(served, seed, coil="C1", position_m=seed)
        desk = Desk(browser, served.url).sign_in()
        desk.tab.goto(f"{served.url}/#coils")
        desk.until("() => document.querySelectorAll('#alarms li strong').length === 3")
        desk.tab.click("#alarms li:first-child button")
        desk.until("() => document.querySelectorAll('#alarms li strong').length === 2")
        desk.tab.click("#all-seen")
        desk.said("No alarm is open.")
        desk.tab.check("#alarms-all")
        desk.until("() => document.querySelectorAll('#alarms li strong').length === 3")
        desk.said("seen by reviewer")
        assert not desk.tab.is_visible("#all-seen")
        desk.close()
