"""Faults of configuration, files, store and sign-in: the doctor finds exactly the planted one and names its mend."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.local_keys import LocalKeys
from jmap_proxy.sandbox import Fault, IdentityProvider
from jmap_proxy.tokens.journal import Attempt
from jmap_proxy.tokens.losses import DAY, Loss
from jmap_proxy.tokens.registration import Registration
from tests.doctor.planting import Plants, assert_found
from tests.support.world import NAME

if TYPE_CHECKING:
    from tests.doctor.conftest import Patient
    from tests.doctor.planting import Planted, Planting

plants = Plants()


# The configuration


@plants("config", "config/config.toml")
async def _a_key_that_there_is_not(planting: Planting) -> None:
    planting.patient.configure('colour = "red"')


@plants("config-missing", "jmap-proxy login")
async def _no_configuration(planting: Planting) -> None:
    planting.patient.world.config.unlink()


@plants("no-accounts", "jmap-proxy login")
async def _no_accounts(planting: Planting) -> None:
    planting.patient.world.config.write_text("")


@plants("unknown-account", "jmap-proxy login EMAIL")
async def _an_account_that_there_is_not(planting: Planting) -> None:
    planting.args = ("bob",)


@plants("secret-missing", "write the secret to")
async def _no_secret(planting: Planting) -> None:
    planting.patient.configure('client_secret_file = "nothing"')


@plants("ca-file", "accounts.alice.ca_file")
async def _no_authority_in_the_file(planting: Planting) -> None:
    (planting.patient.world.folder / "ca.pem").write_text("nothing")
    planting.patient.configure('ca_file = "ca.pem"')


@plants("hook-not-executable", "chmod +x", "warning")
async def _a_hook_that_cannot_be_run(planting: Planting) -> None:
    hook = planting.patient.world.folder / "hook"
    hook.write_text("#!/bin/sh\n")
    planting.patient.configure(top=f'[hooks]\non_sign_in_needed = ["{hook}"]\n')


# Files


@plants("open-to-others", "chmod go-w")
async def _a_configuration_that_others_can_write_to(planting: Planting) -> None:
    planting.patient.world.config.chmod(0o664)


@plants("open-to-others", "chmod go-w")
async def _a_configuration_folder_that_others_can_write_to(planting: Planting) -> None:
    planting.patient.world.folder.chmod(0o777)


@plants("open-to-others", "chmod go=")
async def _a_token_folder_that_others_can_enter(planting: Planting) -> None:
    (planting.patient.world.state / "tokens").chmod(0o755)


@plants("open-to-others", "chmod go=")
async def _tokens_that_others_can_read(planting: Planting) -> None:
    planting.patient.world.token_file.chmod(0o644)


@plants("open-to-others", "chmod go=")
async def _a_data_key_that_others_can_read(planting: Planting) -> None:
    (planting.patient.world.state / "data.key").chmod(0o644)


@plants("open-to-others", "chmod go=")
async def _local_keys_that_others_can_read(planting: Planting) -> None:
    (planting.patient.world.state / "local-keys.json").chmod(0o640)


@plants("open-to-others", "chmod go=")
async def _notes_that_others_can_read(planting: Planting) -> None:
    planting.note_losses()
    planting.patient.world.token_file.with_suffix(".losses").chmod(0o644)


@plants("open-to-others", "chmod go=")
async def _a_secret_that_others_can_read(planting: Planting) -> None:
    secret = planting.patient.world.folder / "secret"
    secret.write_text("sesame")
    secret.chmod(0o644)
    planting.patient.configure('client_secret_file = "secret"')


@plants("wrong-kind", "move ")
async def _a_token_file_that_is_a_link(planting: Planting) -> None:
    path = planting.patient.world.token_file
    path.symlink_to(path.rename(path.with_suffix(".moved")))


# The store


@plants("data-key-missing", "restore the data key")
async def _no_data_key(planting: Planting) -> None:
    (planting.patient.world.state / "data.key").unlink()


@plants("data-key", "backup")
async def _a_data_key_that_is_none(planting: Planting) -> None:
    (planting.patient.world.state / "data.key").write_text("nothing")


@plants("data-key", "jmap-proxy store rekey --to keyring")
async def _a_data_key_elsewhere(planting: Planting) -> None:
    planting.patient.configure(top='[store]\nkey = "keyring"')


@plants("tokens-damaged", "jmap-proxy login alice")
async def _damaged_tokens(planting: Planting) -> None:
    planting.patient.world.token_file.write_bytes(b"damaged")


@plants("tokens-damaged", "jmap-proxy login alice")
async def _tokens_of_which_bits_have_changed(planting: Planting) -> None:
    path = planting.patient.world.token_file
    data = path.read_bytes()
    path.write_bytes(data[:-30] + b"AAAA" + data[-26:])


@plants("tokens-damaged", "disk", "warning")
async def _damaged_tokens_of_which_there_are_others(planting: Planting) -> None:
    await planting.save(rotation="no", generation=2)
    await planting.save(rotation="no", generation=3)
    planting.patient.world.token_file.write_bytes(b"damaged")


@plants("tokens-newer", "use the newer program")
async def _tokens_of_a_newer_program(planting: Planting) -> None:
    await planting.write_sealed(schema_version=99)


@plants("tokens-foreign", "jmap-proxy login alice")
async def _tokens_of_another_account(planting: Planting) -> None:
    await planting.write_sealed(account="bob")


# The sign-in


@plants("not-signed-in", "jmap-proxy login alice")
async def _nobody_signed_in(planting: Planting) -> None:
    await planting.patient.world.assembly().store(NAME).remove()


@plants("sign-in-lost", "jmap-proxy login alice")
async def _a_sign_in_that_the_provider_has_ended(planting: Planting) -> None:
    world = planting.patient.world
    world.idp.revoke_grants()
    await world.age(7200)
    assert (await world.invoke("token", NAME)).code == 77


@plants("sign-in-ended", "offline_access")
async def _a_sign_in_without_refresh_token_that_has_ended(planting: Planting) -> None:
    await planting.save(refresh_token="")
    await planting.patient.world.age(7200)


@plants("no-refresh-token", "let the provider allow offline_access", "warning")
async def _no_refresh_token(planting: Planting) -> None:
    planting.patient.world.idp.settings.refresh_tokens = False
    await planting.patient.world.sign_in()


@plants("no-refresh-token", 'add "offline_access" to accounts.alice.scopes', "warning")
async def _no_refresh_token_asked_for(planting: Planting) -> None:
    planting.patient.configure('scopes = ["openid"]')
    await planting.save(refresh_token="")


@plants("no-offline-access", "accounts.alice.scopes", "warning")
async def _a_provider_that_offers_no_refresh_tokens(planting: Planting) -> None:
    planting.patient.world.idp.settings.metadata_overrides["scopes_supported"] = ["openid"]
    await planting.save(refresh_token="")


@plants("scopes-narrowed", "accounts.alice.scopes", "warning")
async def _narrowed_scopes(planting: Planting) -> None:
    planting.patient.configure('scopes = ["openid", "offline_access", "mail"]')


@plants("other-issuer", "accounts.alice.issuer")
async def _another_provider(planting: Planting) -> None:
    other = await planting.stack.enter_async_context(IdentityProvider())
    planting.patient.configure(issuer=other.issuer)


@plants("other-client", "accounts.alice.client_id")
async def _another_client(planting: Planting) -> None:
    planting.patient.configure(client_id="another")


@plants("registration-ended", "jmap-proxy login alice")
async def _a_registration_that_has_ended(planting: Planting) -> None:
    issuer = planting.patient.world.idp.issuer
    registration = Registration(
        issuer=issuer,
        client_id="jmap-proxy",
        client_secret="sesame-sesame",
        client_secret_expires_at=5,
        registered_at=1,
    )
    await planting.save(registration=registration)


@plants("answer-lost", "jmap-proxy login alice", "warning")
async def _a_lost_answer(planting: Planting) -> None:
    tokens = await planting.patient.world.stored()
    store = planting.patient.world.assembly().store(NAME)
    await store.begin_attempt(Attempt.of(tokens, tokens.obtained_at - 300))


@plants("client-refused", "accounts.alice.client_id")
async def _a_client_that_the_provider_does_not_accept(planting: Planting) -> None:
    patient = planting.patient
    await patient.world.age(3550)
    await patient.start()
    patient.world.idp.settings.client_secret = "another"
    assert await patient.ask_for_session() == 200


@plants("provider-fails", "tried again by itself", "warning")
async def _a_provider_that_fails(planting: Planting) -> None:
    patient = planting.patient
    await patient.world.age(3550)
    await patient.start()
    patient.world.idp.faults.add("token", Fault(status=503, headers={"Retry-After": "60"}, count=-1))
    assert await patient.ask_for_session() == 200


@plants("sign-in-ends-regularly", "provider's settings", "warning")
async def _sign_ins_that_end_after_a_week(planting: Planting) -> None:
    planting.note_losses(Loss(1e9, 1e9 + 7 * DAY), Loss(1.1e9, 1.1e9 + 7 * DAY))


@plants("replay-too-bold", 'accounts.alice.replay = "strict"', "warning")
async def _a_replay_that_the_provider_punishes(planting: Planting) -> None:
    planting.args = ("--offline",)
    planting.patient.configure('preset = "fastmail"', 'replay = "grace"', server="https://api.fastmail.com")


@plants("preset-fits", 'accounts.alice.preset = "fastmail"', "info")
async def _a_known_server_without_its_settings(planting: Planting) -> None:
    planting.args = ("--offline",)
    planting.patient.configure(server="https://api.fastmail.com")


@plants("token-ended", "jmap-proxy token alice", "info")
async def _an_access_token_that_has_ended(planting: Planting) -> None:
    await planting.patient.world.age(7200)


@plants("local-key-missing", "jmap-proxy key alice", "warning")
async def _no_local_key(planting: Planting) -> None:
    LocalKeys(planting.patient.world.state).remove(NAME)


@plants("local-keys-damaged", "jmap-proxy key")
async def _damaged_local_keys(planting: Planting) -> None:
    (planting.patient.world.state / "local-keys.json").write_text("nothing")


@pytest.mark.parametrize("planted", plants.all, ids=lambda planted: planted.name)
async def test_it_finds_exactly_the_planted_fault_and_names_its_mend(patient: Patient, planted: Planted) -> None:
    """See `assert_found`."""
    await assert_found(patient, planted)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_file_of_another_user_is_told(patient: Patient) -> None:
    """As after a `sudo jmap-proxy login`; the mend is the command."""
    os.chown(patient.world.token_file, 12345, 12345)
    ended, told = await patient.examine()
    assert [each["code"] for each in told] == ["other-owner"]
    assert told[0]["mend"] == f"as root, run: chown {os.geteuid()} {patient.world.token_file}"
    assert ended.code == 1
