// toxiproxy-node-client on a lead: a call a line on stdin ([name, ...arguments]), its result or error a line on stdout.
const readline = require("node:readline");
const { Toxiproxy } = require("toxiproxy-node-client");

const toxiproxy = new Toxiproxy(process.argv[2]);
const proxy = (name) => toxiproxy.get(name);
const toxic = async (of, name) => (await proxy(of)).getToxic(name);
const json = (all) => Object.fromEntries(Object.entries(all).map(([name, one]) => [name, one.toJson()]));

const calls = {
  version: () => toxiproxy.getVersion(),
  reset: () => toxiproxy.reset(),
  list: async () => json(await toxiproxy.getAll()),
  populate: async (proxies) => json(await toxiproxy.populate(proxies)),
  create: async (body) => (await toxiproxy.createProxy(body)).toJson(),
  get: async (name) => (await proxy(name)).toJson(),
  update: async (name, body) => (await (await proxy(name)).update(body)).toJson(),
  remove: async (name) => (await proxy(name)).remove(),
  add: async (of, body) => (await (await proxy(of)).addToxic(body)).toJson(),
  toxic: async (of, name) => (await toxic(of, name)).toJson(),
  change: async (of, name, body) => (await (await toxic(of, name)).update(body)).toJson(),
  take: async (of, name) => (await toxic(of, name)).remove(),
};

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const [name, ...given] = JSON.parse(line);
  const told = await calls[name](...given).then((result) => ({ result }), (error) => ({ error: error.message }));
  console.log(JSON.stringify(told));
});
