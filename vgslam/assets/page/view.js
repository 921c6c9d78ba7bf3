// The 3-D view of a run: points and lines of the page's data, drawn with WebGL 2, turned by mouse, keys and touch.
// The data is in the coordinates of the view: x right, y ahead, z up, the scene within about 1 of the origin.
"use strict";

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));

const POINT_SHADER = `#version 300 es
layout(location = 0) in vec3 position;  // in [0,1] of the box
layout(location = 1) in vec3 color;
uniform mat4 projection;
uniform vec3 low, size;
uniform float pixels;
out vec3 tint;
void main() {
  gl_Position = projection * vec4(low + position * size, 1.0);
  gl_PointSize = clamp(pixels / gl_Position.w, 1.0, 8.0);
  tint = color;
}`;
const POINT_PAINT = `#version 300 es
precision mediump float;
in vec3 tint;
out vec4 paint;
void main() { paint = vec4(tint, 1.0); }`;
// A segment is a quad of the given width on the screen; what lies behind the eye is cut off first.
const LINE_SHADER = `#version 300 es
layout(location = 0) in vec3 start;
layout(location = 1) in vec3 end;
uniform mat4 projection;
uniform vec2 screen;
uniform float width;
const float NEAR = 1e-3;
void main() {
  vec4 a = projection * vec4(start, 1.0), b = projection * vec4(end, 1.0);
  if (a.w < NEAR && b.w < NEAR) { gl_Position = vec4(0.0, 0.0, 2.0, 1.0); return; }
  if (a.w < NEAR) a = mix(a, b, (NEAR - a.w) / (b.w - a.w));
  else if (b.w < NEAR) b = mix(b, a, (NEAR - b.w) / (a.w - b.w));
  vec2 along = (b.xy / b.w - a.xy / a.w) * screen;
  float far = length(along);
  vec2 across = far > 1e-6 ? vec2(-along.y, along.x) / far : vec2(0.0, 1.0);
  vec4 p = gl_VertexID < 2 ? a : b;
  p.xy += (gl_VertexID % 2 == 0 ? 1.0 : -1.0) * across * width / screen * p.w;
  gl_Position = p;
}`;
const LINE_PAINT = `#version 300 es
precision mediump float;
uniform vec4 color;
out vec4 paint;
void main() { paint = color; }`;

const NEAR_CLIP = 0.005, FAR_CLIP = 200.0, FIELD_OF_VIEW = 0.8;  // radians, vertical
const START = { yaw: -0.5, pitch: 0.55, distance: 2.6, target: [0, 0, 0] };
const STEEPEST = Math.PI / 2 - 1e-3, NEAREST = 0.02, FARTHEST = 40.0;

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error("no shaders");
  return made;
}

function attribute(gl, index, data, type, normalised, stride, offset, divisor) {
  gl.bindBuffer(gl.ARRAY_BUFFER, data);
  gl.enableVertexAttribArray(index);
  gl.vertexAttribPointer(index, 3, type, normalised, stride, offset);
  gl.vertexAttribDivisor(index, divisor);
}

function buffer(gl, bytes) {
  const made = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, made);
  gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.STATIC_DRAW);
  return made;
}

function pointsOf(gl, told) {
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  attribute(gl, 0, buffer(gl, bytesOf(told.positions)), gl.UNSIGNED_SHORT, true, 6, 0, 0);
  attribute(gl, 1, buffer(gl, bytesOf(told.colors)), gl.UNSIGNED_BYTE, true, 3, 0, 0);
  return { array, n: told.n, low: told.low, size: told.size, toggle: told.toggle };
}

function linesOf(gl, told) {
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  const data = buffer(gl, bytesOf(told.segments));
  attribute(gl, 0, data, gl.FLOAT, false, 24, 0, 1);
  attribute(gl, 1, data, gl.FLOAT, false, 24, 12, 1);
  return { array, n: told.n, color: told.color, width: told.width, toggle: told.toggle };
}

function axesOf(view) {  // of the camera: to the right, up, and ahead
  const [cy, sy, cp, sp] = [Math.cos(view.yaw), Math.sin(view.yaw), Math.cos(view.pitch), Math.sin(view.pitch)];
  return { right: [cy, sy, 0], up: [-sy * sp, cy * sp, cp], ahead: [-sy * cp, cy * cp, -sp] };
}

function projectionOf(view, aspect) {  // column by column, as WebGL wants it
  const { right, up, ahead } = axesOf(view), dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const eye = view.target.map((t, i) => t - view.distance * ahead[i]);
  const tall = 1 / Math.tan(FIELD_OF_VIEW / 2) * Math.min(1, Math.max(aspect, 0.5)), wide = tall / aspect;
  const deep = (FAR_CLIP + NEAR_CLIP) / (FAR_CLIP - NEAR_CLIP), shift = -2 * FAR_CLIP * NEAR_CLIP / (FAR_CLIP - NEAR_CLIP);
  const m = [];
  for (let i = 0; i < 3; i += 1) m.push(wide * right[i], tall * up[i], deep * ahead[i], ahead[i]);
  m.push(-wide * dot(right, eye), -tall * dot(up, eye), shift - deep * dot(ahead, eye), -dot(ahead, eye));
  return new Float32Array(m);
}

function rgbOf(color, canvas) {  // "#rrggbb", or the name of one of the page's own colours
  const text = color[0] === "#" ? color : getComputedStyle(canvas).getPropertyValue(color).trim();
  return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16) / 255);
}

function painter(canvas, scene) {
  const gl = canvas.getContext("webgl2", { alpha: true, antialias: true, preserveDrawingBuffer: true });
  if (!gl) return null;
  const dots = program(gl, POINT_SHADER, POINT_PAINT), strokes = program(gl, LINE_SHADER, LINE_PAINT);
  const points = scene.points ? pointsOf(gl, scene.points) : null, lines = scene.lines.map((l) => linesOf(gl, l));
  const at = (p, name) => gl.getUniformLocation(p, name);
  gl.enable(gl.DEPTH_TEST);
  gl.depthFunc(gl.LEQUAL);
  return (view, isShown) => {
    const [w, h] = [canvas.width, canvas.height], scale = w / Math.max(1, canvas.clientWidth);
    const projection = projectionOf(view, w / h);
    gl.viewport(0, 0, w, h);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (points && isShown(points.toggle)) {
      gl.useProgram(dots);
      gl.uniformMatrix4fv(at(dots, "projection"), false, projection);
      gl.uniform3fv(at(dots, "low"), points.low);
      gl.uniform3fv(at(dots, "size"), points.size);
      gl.uniform1f(at(dots, "pixels"), h * Math.min(0.03, Math.max(0.007, 3 / Math.sqrt(points.n))));
      gl.bindVertexArray(points.array);
      gl.drawArrays(gl.POINTS, 0, points.n);
    }
    gl.useProgram(strokes);
    gl.uniformMatrix4fv(at(strokes, "projection"), false, projection);
    gl.uniform2f(at(strokes, "screen"), w, h);
    for (const line of lines) {
      if (!isShown(line.toggle)) continue;
      gl.uniform4f(at(strokes, "color"), ...rgbOf(line.color, canvas), 1);
      gl.uniform1f(at(strokes, "width"), line.width * scale);
      gl.bindVertexArray(line.array);
      gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, line.n);
    }
  };
}

function movesOf(view, canvas) {  // what mouse, keys and fingers do
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
  const moves = {
    turn(dx, dy) {
      view.yaw -= dx;
      view.pitch = clamp(view.pitch + dy, -STEEPEST, STEEPEST);
    },
    pan(dx, dy) {  // in heights of the canvas
      const { right, up } = axesOf(view), step = 2 * view.distance * Math.tan(FIELD_OF_VIEW / 2);
      view.target = view.target.map((t, i) => clamp(t + step * (dy * up[i] - dx * right[i]), -FARTHEST, FARTHEST));
    },
    zoom(factor) { view.distance = clamp(view.distance / factor, NEAREST, FARTHEST); },
    reset() { Object.assign(view, START, { target: [...START.target] }); },
    above() { Object.assign(view, { yaw: 0, pitch: STEEPEST, target: [...START.target], distance: START.distance }); },
  };
  moves.drag = (dx, dy, isPan) => {
    const h = Math.max(1, canvas.clientHeight);
    if (isPan) moves.pan(dx / h, dy / h); else moves.turn(3 * dx / h, 3 * dy / h);
  };
  return moves;
}

function listenToKeys(canvas, moves, redraw) {
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const arrow = arrows[event.key];
    if (arrow && event.shiftKey) moves.pan(-0.05 * arrow[0], -0.05 * arrow[1]);
    else if (arrow) moves.turn(-0.1 * arrow[0], -0.1 * arrow[1]);
    else if (event.key === "+" || event.key === "=") moves.zoom(1.15);
    else if (event.key === "-" || event.key === "_") moves.zoom(1 / 1.15);
    else if (event.key === "r" || event.key === "R") moves.reset();
    else return;
    event.preventDefault();
    redraw();
  });
}

function listenToPointers(canvas, moves, redraw) {
  const down = new Map();  // where each finger or button was last
  const spread = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);
  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    try { canvas.setPointerCapture(event.pointerId); } catch { /* it is up already */ }
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  canvas.addEventListener("pointermove", (event) => {
    const was = down.get(event.pointerId);
    if (!was) return;
    const before = down.size === 2 ? spread([...down.values()]) : 0;
    const [dx, dy] = [event.clientX - was.x, event.clientY - was.y];
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (down.size === 2) {  // both fingers report: each moves by half
      const after = spread([...down.values()]);
      moves.drag(dx / 2, dy / 2, true);
      if (before > 0 && after > 0) moves.zoom(after / before);
    } else if (down.size === 1) moves.drag(dx, dy, event.shiftKey || event.ctrlKey || (event.buttons & 6) !== 0);
    redraw();
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"])
    canvas.addEventListener(name, (event) => down.delete(event.pointerId));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas) return;  // the page scrolls until the view was clicked
    event.preventDefault();
    moves.zoom(Math.exp(-0.0015 * Math.max(-400, Math.min(400, event.deltaY * (event.deltaMode === 1 ? 30 : 1)))));
    redraw();
  }, { passive: false });
}

function show(box) {
  const canvas = box.querySelector("canvas"), scene = JSON.parse(document.getElementById("scene").textContent);
  const view = {}, moves = movesOf(view, canvas), boxes = [...box.querySelectorAll("input")];
  let paint = painter(canvas, scene), isDue = false;
  if (!paint) return;  // the page says so
  const draw = () => {
    isDue = false;
    const dense = Math.min(2, devicePixelRatio || 1);
    const [w, h] = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.max(1, Math.round(n * dense)));
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    if (paint) paint(view, (toggle) => toggle < 0 || boxes[toggle].checked);
  };
  const redraw = () => {
    if (!isDue) requestAnimationFrame(draw);
    isDue = true;
  };
  box.classList.add("is-drawn");
  moves.reset();
  listenToKeys(canvas, moves, redraw);
  listenToPointers(canvas, moves, redraw);
  boxes.forEach((input) => input.addEventListener("change", redraw));
  for (const button of box.querySelectorAll("button"))
    button.addEventListener("click", () => { moves[button.dataset.move](); redraw(); });
  canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); paint = null; });
  canvas.addEventListener("webglcontextrestored", () => { paint = painter(canvas, scene); redraw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", draw);
  if (window.ResizeObserver) new ResizeObserver(redraw).observe(canvas);
  draw();
  box.dataset.state = "drawn";
}

addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector(".view");
  if (box) try { show(box); } catch (error) { box.classList.remove("is-drawn"); }
});
