const field = id => document.getElementById(id);
const form = field("ask"), status = field("status"), preview = field("preview"), shownText = field("text-out");
let picture = null, labelsOf = {};

const headers = () => {
  const key = field("key").value;
  return { "content-type": "application/json", ...(key ? { authorization: "Bearer " + key } : {}) };
};

async function answered(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ? body.error.message : `the server answers ${response.status}`);
  return body;
}

function say(words, wrong = false) {
  status.textContent = words;
  status.className = wrong ? "wrong-words" : "soft";
}

async function loadModels() {
  try {
    const models = (await answered(await fetch("v1/models", { headers: headers() }))).data;
    labelsOf = Object.fromEntries(models.map(each => [each.id, each.labels]));
    field("model").replaceChildren(...models.map(each => element("option", { value: each.id }, each.id)));
    showLabels();
    say("");
  } catch (error) {
    say(error.message, true);
  }
}

function showLabels() {
  const labels = Object.entries(labelsOf[field("model").value] ?? {});
  field("labels").value = labels.map(([name, definition]) => definition ? `${name}: ${definition}` : name).join("\n");
}

function wantedLabels() {
  const lines = field("labels").value.split("\n").map(line => line.trim()).filter(Boolean);
  const pairs = lines.map(line => {
    const at = line.indexOf(": ");
    return at < 0 ? [line, null] : [line.slice(0, at), line.slice(at + 2)];
  });
  return Object.fromEntries(pairs);
}

function request() {
  const body = { text: field("text").value, threshold: Number(field("threshold").value) / 100 };
  const labels = wantedLabels(), own = labelsOf[field("model").value] ?? {};
  if (Object.keys(labels).length && JSON.stringify(labels) !== JSON.stringify(own)) body.labels = labels;
  if (field("model").selectedIndex > 0) body.model = field("model").value;
  if (picture) body.images = [picture.url];
  return body;
}

function usePicture(file) {
  if (!file) return;
  const reader = new FileReader();
  reader.onload = () => {
    picture = { url: reader.result, name: file.name };
    preview.replaceChildren(element("img", { src: picture.url, alt: "the picture of the post" }));
    field("remove").hidden = false;
  };
  reader.readAsDataURL(file);
}

function removePicture() {
  picture = null;
  field("file").value = "";
  field("remove").hidden = true;
  preview.replaceChildren();
}

function show(body, answer, seconds) {
  const names = [...new Set(answer.entities.map(each => each.label))].sort();
  const percent = entity => Math.floor(100 * entity.score) + " %";
  const unseen = entity => picture && entity.boxes && !entity.boxes.length ? ", not in the picture" : "";
  const marks = answer.entities.map(entity => [
    [entity.start, entity.end, names.indexOf(entity.label)], [entity.label + " " + percent(entity) + unseen(entity)], ""]);
  shownText.replaceChildren(...pieces(body.text, marks));
  preview.querySelectorAll(".box").forEach(box => box.remove());
  const image = preview.querySelector("img");
  for (const entity of image ? answer.entities : []) for (const { box } of entity.boxes ?? []) {
    const drawn = element("div", { className: "box c" + names.indexOf(entity.label) % 8 }, element("span", {}, `${entity.label}: ${entity.text}`));
    const share = (value, whole) => 100 * value / whole + "%";
    Object.assign(drawn.style, {
      left: share(box[0], image.naturalWidth), top: share(box[1], image.naturalHeight),
      width: share(box[2] - box[0], image.naturalWidth), height: share(box[3] - box[1], image.naturalHeight),
    });
    preview.append(drawn);
  }
  const rejected = Object.values(answer.rejected).reduce((sum, each) => sum + each, 0);
  const entities = answer.entities.length === 1 ? "1 entity" : `${answer.entities.length || "no"} entities`;
  say(`${entities} by ${answer.model} in ${seconds.toFixed(1)} s`
    + (rejected ? `; ${rejected} item(s) of the answer rejected` : ""));
  field("json").textContent = JSON.stringify(answer, null, 1);
}

// What a shell would read in a here-document is escaped.
const forShell = words => words.replace(/[\\$`]/g, "\\$&");
const quoted = name => "'" + name.replace(/'/g, "'\\''") + "'";

// Python writes texts and numbers as JSON does.
function forPython(value) {
  if (value === null) return "None";
  if (typeof value !== "object") return JSON.stringify(value);
  return "{" + Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}: ${forPython(inner)}`).join(", ") + "}";
}

function showCode(body) {
  const address = new URL("v1/entities", location.href).href, hasKey = Boolean(field("key").value);
  const { images, ...rest } = body, name = picture ? picture.name : "";
  // The picture is read from its file.
  const withPicture = (object, content) => images ? `${object.slice(0, -1)}, "images": [${content}]}` : object;
  const sent = withPicture(forShell(JSON.stringify(rest)), `"$(base64 -w0 ${quoted(name)})"`);
  field("curl").textContent = `curl -s ${address} ${hasKey ? '-H "Authorization: Bearer $INSTRUCT_MNER_API_KEY" ' : ""}`
    + `-H 'Content-Type: application/json' -d @- <<END\n${sent}\nEND`;
  const python = withPicture(forPython(rest), "picture");
  const opened = picture ? `picture = base64.b64encode(open(${JSON.stringify(name)}, "rb").read()).decode()\n` : "";
  const key = hasKey ? `, headers={"Authorization": "Bearer " + os.environ["INSTRUCT_MNER_API_KEY"]}` : "";
  field("python").textContent = `import base64, os, httpx\n${opened}`
    + `answer = httpx.post("${address}", json=${python}${key}, timeout=60)\nprint(answer.json())`;
}

async function ask(event) {
  event.preventDefault();
  const body = request(), began = performance.now();
  say("asking …");
  showCode(body);
  try {
    const response = await fetch("v1/entities", { method: "POST", headers: headers(), body: JSON.stringify(body) });
    show(body, await answered(response), (performance.now() - began) / 1000);
  } catch (error) {
    say(error.message, true);
  }
}

form.addEventListener("submit", ask);
field("key").addEventListener("change", loadModels);
field("model").addEventListener("change", showLabels);
field("file").addEventListener("change", () => usePicture(field("file").files[0]));
field("remove").addEventListener("click", removePicture);
field("threshold").addEventListener("input", () => { field("threshold-out").value = field("threshold").value + " %"; });
form.addEventListener("dragover", event => event.preventDefault());
form.addEventListener("drop", event => { event.preventDefault(); usePicture(event.dataTransfer.files[0]); });
loadModels();
