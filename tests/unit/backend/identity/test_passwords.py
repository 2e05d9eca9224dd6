from netra_sim.backend.identity import passwords


async def test_only_the_right_password_matches_its_hash():
    stored = await passwords.hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert await passwords.matches(stored, "correct horse")
    assert not await passwords.matches(stored, "battery staple")


async def test_the_same_password_has_another_hash_each_time():
    assert await passwords.hash_password("correct horse") != await passwords.hash_password("correct horse")


async def test_nobody_has_no_password_not_even_the_one_compared_with():
    assert not await passwords.matches(None, "nobody's password")
    assert not await passwords.matches("not a hash", "x")
