"use strict";
function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Offsets count characters; strings of a browser count units of UTF-16.
function pieces(text, entities) {
  const characters = Array.from(text), made = [];
  let end = 0;
  for (const [entity, children, state] of entities) {
    made.push(characters.slice(end, entity[0]).join(""));
    const mark = element("mark", { className: "c" + entity[2] % 8 + " " + state }, characters.slice(entity[0], entity[1]).join(""));
    mark.append(element("small", {}, ...children));
    made.push(mark);
    end = entity[1];
  }
  made.push(characters.slice(end).join(""));
  return made;
}
