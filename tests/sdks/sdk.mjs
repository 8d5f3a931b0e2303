// The CloudEvents SDK for JavaScript as producer and as receiver.
//
//     sdk.mjs produce URL...   posts every case in every mode to each URL; a line of JSON for each answer
//     sdk.mjs receive          takes events on a free port; a line of JSON for each event

import http from "node:http";
import { createRequire } from "node:module";

// NODE_PATH does not hold for imports of modules.
const { CloudEvent, HTTP } = createRequire(process.env.VOLLEY_SDK_JS + "/")("cloudevents");

// On the wire header values are UTF-8; Node takes and gives them a byte a character.
const toWire = (text) => Buffer.from(String(text), "utf8").toString("latin1");
const fromWire = (text) => Buffer.from(text, "latin1").toString("utf8");

const fixed = { source: "/sdk/javascript", type: "com.example.sdk" };
const full = {
  subject: "plain",
  time: "2025-03-04T05:06:07.089Z",
  dataschema: "http://example.com/schema",
  text: "a b%20c",
  number: -7,
  flag: true,
  partitionkey: "k",
};
const cases = {
  json: { datacontenttype: "application/json", data: { price: 1.5, name: "Größe" } },
  attributes: { ...full, datacontenttype: "application/json", data: {} },
  "non-ascii": { subject: "Größe/€/日本/😀", datacontenttype: "application/json", data: [] },
  binary: { datacontenttype: "application/octet-stream", data: Uint8Array.from({ length: 256 }, (_, n) => n) },
  text: { datacontenttype: "text/plain", data: "grün\n\ttext" },
  "text-empty": { datacontenttype: "text/plain", data: "" },
  xml: { datacontenttype: "application/xml", data: "<a>ü</a>" },
  nothing: {},
};
const event = (mode, name) => new CloudEvent({ ...fixed, id: `javascript-${mode}-${name}`, ...cases[name] });

function* messages() {
  for (const name of Object.keys(cases)) {
    yield HTTP.binary(event("binary", name));
    yield HTTP.structured(event("structured", name));
  }
  const members = Object.keys(cases).map((name) => HTTP.structured(event("batch", name)).body);
  yield { headers: { "content-type": "application/cloudevents-batch+json" }, body: `[${members.join(", ")}]` };
}

function post(url, headers, body) {
  const raw = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, toWire(value)]));
  const bytes = body instanceof Uint8Array ? Buffer.from(body) : Buffer.from(body ?? "");
  return new Promise((resolve, reject) => {
    const options = { method: "POST", headers: { ...raw, "content-length": bytes.length } };
    const request = http.request(url, options, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode));
    });
    request.on("error", reject);
    request.end(bytes);
  });
}

async function produce(urls) {
  for (const { headers, body } of messages()) {
    for (const url of urls) {
      console.log(JSON.stringify({ url, status: await post(url, headers, body) }));
    }
  }
}

const shown = (data) =>
  data instanceof Uint8Array ? { base64: Buffer.from(data).toString("base64") } : { value: data ?? null };

function receive() {
  const server = http.createServer((request, answer) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, fromWire(value)]));
      const bytes = Buffer.concat(parts);
      // Binary data stays bytes, everything else is text to the SDK.
      const body = headers["content-type"] === "application/octet-stream" ? bytes : bytes.toString("utf8");
      try {
        for (const event of [HTTP.toEvent({ headers, body })].flat()) {
          const { data, data_base64, ...attributes } = event.toJSON();
          const bytes = data_base64 === undefined ? shown(data) : { base64: data_base64 };
          console.log(JSON.stringify({ path: request.url, attributes, data: bytes }));
        }
        answer.statusCode = 204;
      } catch (error) {
        console.log(JSON.stringify({ path: request.url, error: String(error) }));
        answer.statusCode = 400;
      }
      answer.end();
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
}

if (process.argv[2] === "produce") await produce(process.argv.slice(3));
else receive();
