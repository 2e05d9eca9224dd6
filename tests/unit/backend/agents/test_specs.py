import pytest

from netra_sim.backend.agents.specs import AGENTS, ROUTES, route_for
from netra_sim.backend.agents.tools import TOOLS, offered


@pytest.mark.parametrize(
    ("completeness", "route"),
    [(None, "insufficient"), (0, "insufficient"), (0.3999, "insufficient"), (0.4, "partial"), (0.7999, "partial"),
     (0.8, "sufficient"), (1, "sufficient")],
)  # fmt: skip
def test_the_route_follows_from_the_data(completeness: float | None, route: str):
    assert route_for(completeness) == route


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_ends_in_its_report_and_waits_only_for_its_own(name: str):
    route = ROUTES[name]
    assert route.keys() <= AGENTS.keys()
    done: set[str] = set()
    while len(done) < len(route):
        ready = {agent for agent, needs in route.items() if agent not in done and set(needs) <= done}
        assert ready, "a circle, or an agent that waits for one of another route"
        done |= ready
    assert ready == {"reporting"}
    assert "triage" not in route


def test_data_and_data_helper_do_not_wait_for_each_other():
    assert ROUTES["partial"]["data"] == ROUTES["partial"]["data_helper"] == ()


@pytest.mark.parametrize("name", AGENTS)
def test_every_figure_of_an_answer_comes_from_a_tool_of_its_agent(name: str):
    agent = AGENTS[name]
    assert set(agent.tools) <= TOOLS.keys()
    for spec in agent.properties.values():
        if spec["type"] == "number":
            assert spec["x-from"].split("/")[0] in agent.tools
            assert spec["minimum"] < spec["maximum"]
    schema = agent.schema()
    assert schema["required"] == list(agent.properties)
    assert schema["additionalProperties"] is False


def test_tools_are_offered_with_what_they_do():
    (tool,) = offered(("cheaper_route",))
    assert tool["function"]["name"] == "cheaper_route"
    assert "save" in tool["function"]["description"]
