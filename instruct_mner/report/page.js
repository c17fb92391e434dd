const data = JSON.parse(document.getElementById("data").textContent);
const pictures = JSON.parse(document.getElementById("pictures").textContent);
const AT_ONCE = 25, NOT_VISIBLE = 1, RIGHT = 0, MISSED = data.outcomes.indexOf("missed");
const form = document.getElementById("filter"), list = document.getElementById("list");
const count = document.getElementById("count"), more = document.getElementById("more");
let found = [], shown = 0;

const notVisible = entity => entity[3] === NOT_VISIBLE ? ", not in the picture" : "";

// The text may run from right to left, and its heading does not.
function line(who, text, marks) {
  const words = element("span", { className: "text", dir: "auto" }, ...pieces(text, marks));
  return element("p", { className: "line" }, element("span", { className: "who" }, who), words);
}

function goldLine(post) {
  const missedBy = index => data.runs.filter((_, run) => post.r[run][1][index] === MISSED);
  const marks = post.g.map((entity, index) => {
    const missed = missedBy(index);
    let words = data.labels[entity[2]] + notVisible(entity);
    if (missed.length) words += data.runs.length > 1 ? " · missed by " + missed.join(", ") : " · missed";
    return [entity, [words], missed.length ? "missed" : ""];
  });
  return line("gold" + (marks.length ? "" : " · no entity"), post.t, marks);
}

function runLine(post, run) {
  const [entities, , rejected] = post.r[run];
  const marks = entities.map(entity => {
    const outcome = entity[6], right = outcome === RIGHT;
    const words = (right ? "✓ " : "✗ ") + data.labels[entity[2]] + " " + entity[5] + " %" + notVisible(entity)
      + (right ? "" : " · " + data.outcomes[outcome]);
    return [entity, [words], right ? "" : "wrong"];
  });
  const who = data.runs[run] + (marks.length ? "" : " · no entity")
    + (rejected ? ` · ${rejected} item(s) of the answer rejected` : "");
  return line(who, post.t, marks);
}

function boxes(post, image) {
  const characters = Array.from(post.t), drawn = [];
  const draw = (entity, kind) => entity[4].forEach(([place, left, top, width, height]) => {
    if (place !== image) return;
    const name = data.labels[entity[2]] + ": " + characters.slice(entity[0], entity[1]).join("");
    const box = element("div", { className: "box " + kind + " c" + entity[2] % 8 }, element("span", {}, name));
    Object.assign(box.style, { left: left + "%", top: top + "%", width: width + "%", height: height + "%" });
    drawn.push(box);
  });
  post.g.forEach(entity => draw(entity, "gold"));
  post.r.forEach(run => run[0].forEach(entity => draw(entity, "predicted")));
  return drawn;
}

function card(number) {
  const post = data.posts[number], made = element("article", { className: "post" });
  const here = Object.entries(pictures[number] ?? {});
  if (here.length) {
    made.classList.add("pictured");
    made.append(element("div", { className: "pictures" }, ...here.map(([place, source]) => {
      const image = Number(place), alt = post.p === 1 ? "the picture of the post" : `picture ${image + 1} of the post`;
      return element("div", { className: "picture" }, element("img", { src: source, alt }), ...boxes(post, image));
    })));
  }
  const words = element("div", {}, goldLine(post), ...data.runs.map((_, run) => runLine(post, run)));
  let note = "post " + post.i;
  const absent = (post.p ?? 0) - here.length;
  if (absent) note += " · not in this page: " + (post.p === 1 ? "its picture" : `${absent} of its ${post.p} pictures`);
  words.append(element("span", { className: "soft" }, note));
  made.append(words);
  return made;
}

function showMore() {
  for (const number of found.slice(shown, shown + AT_ONCE)) list.append(card(number));
  shown = Math.min(shown + AT_ONCE, found.length);
  more.hidden = shown === found.length;
}

function matches(post, wanted) {
  const runs = wanted.run === "" ? post.r : [post.r[wanted.run]];
  if (wanted.text && !(post.t + " " + post.i).toLowerCase().includes(wanted.text)) return false;
  const ofType = index => wanted.type === "" || index === Number(wanted.type);
  const within = entity => entity[5] >= wanted.low && entity[5] <= wanted.high;
  if (wanted.outcome === "rejected") return runs.some(run => run[2] > 0);
  if (wanted.outcome === "differ")
    return new Set(post.r.map(run => JSON.stringify(run[0].map(entity => entity.slice(0, 3))))).size > 1;
  const isWanted = outcome => wanted.outcome === "" || (wanted.outcome === "wrong" ? outcome !== RIGHT : outcome === Number(wanted.outcome));
  const everyConfidence = wanted.low === 0 && wanted.high === 100;
  if (wanted.outcome === "" && wanted.type === "" && everyConfidence) return true;
  return runs.some(run => run[0].some(entity => isWanted(entity[6]) && ofType(entity[2]) && within(entity))
    || (everyConfidence && run[1].some((outcome, index) => isWanted(outcome) && ofType(post.g[index][2]))));
}

function select() {
  const values = new FormData(form);
  const number = (name, otherwise) => values.get(name) === "" ? otherwise : Number(values.get(name));
  const wanted = {
    outcome: values.get("outcome"), type: values.get("type"), run: values.get("run") ?? "",
    text: values.get("text").toLowerCase(), low: number("low", 0), high: number("high", 100),
  };
  found = data.posts.map((_, index) => index).filter(index => matches(data.posts[index], wanted));
  count.textContent = `${found.length} of ${data.posts.length} posts`;
  list.replaceChildren(...(found.length ? [] : [element("p", { className: "soft" }, "No post has all of these.")]));
  shown = 0;
  showMore();
}

form.addEventListener("input", select);
form.addEventListener("submit", event => event.preventDefault());
more.addEventListener("click", showMore);
select();
