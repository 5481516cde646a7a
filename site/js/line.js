// The line on the first page: press a shield and its worker falls, its queue
// stays, and the next one steps in.
import { pause, still } from './motion.js';

const line = document.getElementById('line');
const status = line.querySelector('.status');
const names = ['No', 'One', 'Two', 'Three', 'Four', 'Five', 'Six'];

function say(text) {
  status.textContent = text;
}

function waiting(count) {
  if (count === 0) return 'Nobody waits in its queue';
  return `${names[count]} ${count === 1 ? 'connection waits' : 'connections wait'} in its queue`;
}

async function arrive(queue, count) {
  while (queue.children.length < count) {
    await pause(350);
    queue.append(document.createElement('i'));
  }
}

async function drain(queue) {
  while (queue.firstChild) {
    await pause(350);
    queue.firstChild.remove();
  }
}

async function fall(slot, number) {
  if (slot.classList.contains('down')) return;
  const queue = slot.querySelector('.queue');
  const before = queue.children.length;
  slot.classList.add('down');
  say(`The worker of slot ${number} has fallen. ${waiting(before)}; the master holds the socket.`);
  await arrive(queue, Math.min(before + 1, 4));
  await pause(500);
  slot.classList.add('step');
  await pause(800);
  slot.classList.add('swap');
  slot.classList.remove('down', 'step');
  slot.getBoundingClientRect(); // lay out without transitions before they return
  slot.classList.add('back');
  slot.classList.remove('swap');
  say(`The next worker stands in slot ${number} and takes what waited there.`);
  await drain(queue);
  slot.classList.remove('back');
  if (still()) say(`The worker of slot ${number} fell. The next one stands in its place and has taken what waited there.`);
}

for (const [i, slot] of line.querySelectorAll('.slot').entries()) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'strike';
  button.setAttribute('aria-label', `Let the worker of slot ${i + 1} fall`);
  button.addEventListener('click', () => fall(slot, i + 1));
  slot.prepend(button);
}
status.hidden = false;
say('Press a shield to let its worker fall.');
