'use strict';
(() => {
	const period = 2000, timeout = 5000; // milliseconds

	// How numbers look: as in package human.
	const none = '–';
	const fixed = (n, digits) => (Math.floor(n * 10 ** digits + 0.5) / 10 ** digits).toFixed(digits);
	const count = n => fixed(n, 0).replace(/\B(?=(\d{3})+$)/g, ',');
	const rate = n => n > 0 && n < 10 ? fixed(n, 1) : count(n);
	const digits3 = n => fixed(n, n < 9.995 ? 2 : n < 99.95 ? 1 : 0);
	const percent = share => count(share * 100) + ' %';

	function size(n) {
		let unit = 0;
		for (; n >= 999.5 && unit < 6; unit++) n /= 1000;
		return unit === 0 ? count(n) + ' B' : digits3(n) + ' ' + 'kMGTPE'[unit - 1] + 'B';
	}

	function seconds(s) {
		if (s <= 0) return none;
		if (s < 0.0009995) return digits3(s * 1e6) + ' µs';
		if (s < 0.9995) return digits3(s * 1e3) + ' ms';
		return s < 120 ? digits3(s) + ' s' : age(s);
	}

	function age(s) {
		const n = Math.trunc(Math.max(s, 0)), whole = x => Math.trunc(x);
		if (n < 60) return `${n} s`;
		if (n < 3600) return `${whole(n / 60)} min ${n % 60} s`;
		if (n < 86400) return `${whole(n / 3600)} h ${whole(n / 60) % 60} min`;
		return `${whole(n / 86400)} d ${whole(n / 3600) % 24} h`;
	}

	// What a client sent must not change how the rest is read (text.go).
	const visible = s => s.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, c => {
		const n = c.codePointAt(0), [letter, digits] = n < 0x80 ? ['x', 2] : n > 0xffff ? ['U', 8] : ['u', 4];
		return '\\' + letter + n.toString(16).padStart(digits, '0');
	});
	const stateName = state => state === 'lame-duck' ? 'lame duck' : state;
	const since = (now, then) => (Date.parse(now) - Date.parse(then)) / 1000;

	const element = id => document.getElementById(id);

	// A node whose text stays is left alone: selections and screen readers notice.
	function write(node, text) {
		text = String(text);
		if (node.textContent !== text) node.textContent = text;
	}

	function attribute(node, name, value) {
		if (node.getAttribute(name) !== value) node.setAttribute(name, value);
	}

	function showState(state, text) {
		attribute(element('state'), 'data-state', state);
		write(element('state'), text);
	}

	function showFigures(total) {
		const codes = total.requests ?? {};
		const alerts = {c5xx: codes['5xx'] ?? 0, dropped: total.dropped, lost: total.log_lost};
		const figures = {
			p50: seconds(total.p50), active: `${count(total.active)}, ${count(total.idle)} idle`,
			answered: count(total.answered), sent: size(total.bytes), c4xx: count(codes['4xx'] ?? 0),
			c5xx: count(alerts.c5xx), truncated: count(total.truncated), timed_out: count(total.timed_out),
			dropped: count(total.dropped),
			limited: count(Object.values(total.limited ?? {}).reduce((sum, n) => sum + n, 0)), lost: count(total.log_lost),
		};
		for (const [key, text] of Object.entries(figures)) {
			write(element('total-' + key), text);
			element('total-' + key).parentNode.classList.toggle('alert', alerts[key] > 0);
		}
	}

	// As paths in page.go.
	function paths(all, high) {
		all = all.slice(-60);
		if (all.length < 2) return ['', ''];
		const first = 60 - all.length;
		const line = all.map((v, i) => `${i ? 'L' : 'M'}${first + i} ${fixed(high > 0 ? 40 - v / high * 38 : 40, 1)}`).join('');
		return [line, `${line}V40H${first}Z`];
	}

	function showChart(key, now, all, text) {
		const figure = element('chart-' + key), high = Math.max(0, ...all), low = all.length ? Math.min(...all) : 0;
		const [line, area] = paths(all, high);
		write(figure.querySelector('.big'), text(now));
		write(figure.querySelector('.top'), text(high));
		attribute(figure.querySelector('.line'), 'd', line);
		attribute(figure.querySelector('.area'), 'd', area);
		const name = figure.querySelector('figcaption').textContent;
		attribute(figure.querySelector('svg'), 'aria-label', `${name} in the last minute: lowest ${text(low)}, highest ${text(high)}`);
	}

	function showPID(cell, worker) {
		if (!worker.pid) return write(cell, none);
		let link = cell.querySelector('a');
		if (!link) {
			link = document.createElement('a');
			cell.replaceChildren(link);
		}
		attribute(link, 'href', `connections?slot=${worker.slot}&pid=${worker.pid}`);
		write(link, worker.pid);
	}

	function showWorker(row, worker) {
		const cell = field => row.querySelector(`[data-field=${field}]`);
		const values = {
			slot: worker.slot, state: stateName(worker.state), up: worker.pid ? age(worker.uptime) : none,
			rate: rate(worker.rate), p99: seconds(worker.p99), active: count(worker.active), queue: count(worker.queue),
			cpu: percent(worker.cpu), memory: worker.memory ? size(worker.memory) : none, deaths: count(worker.deaths),
			age: worker.oldest ? seconds(worker.oldest.age) : none, line: worker.oldest ? visible(worker.oldest.line) : '',
		};
		for (const [field, text] of Object.entries(values)) write(cell(field), text);
		attribute(cell('state'), 'data-state', worker.state);
		showPID(cell('pid'), worker);
	}

	function showWorkers(pool) {
		const body = element('rows'), old = new Map([...body.children].map(row => [row.dataset.key, row]));
		let place = body.firstElementChild;
		for (const worker of pool.workers ?? []) {
			const key = `${worker.slot}/${worker.pid}`;
			let row = old.get(key);
			if (!row) {
				row = element('blank').content.firstElementChild.cloneNode(true);
				row.dataset.key = key;
			}
			old.delete(key);
			showWorker(row, worker);
			if (row === place) place = place.nextElementSibling;
			else body.insertBefore(row, place);
		}
		for (const row of old.values()) row.remove();
	}

	// As in page.go.
	function showCertificates(pool) {
		const list = element('certificates'), all = pool.certificates ?? [];
		list.parentNode.hidden = all.length === 0;
		while (list.children.length > all.length) list.lastElementChild.remove();
		all.forEach((c, i) => {
			let item = list.children[i];
			if (!item) {
				item = list.appendChild(document.createElement('div'));
				item.append(document.createElement('dt'), document.createElement('dd'));
				item.firstElementChild.append(document.createElement('bdi'));
			}
			const left = since(c.not_after, pool.time);
			write(item.querySelector('bdi'), visible(c.names[0]));
			write(item.lastElementChild, visible(c.key) + (left > 0 ? `, expires in ${age(left)}` : `, expired ${age(-left)} ago`));
			item.classList.toggle('alert', c.expiring);
		});
	}

	const plural = (n, one) => `${count(n)} ${n === 1 ? one : one + 's'}`;

	// As in page.go.
	function handshakes(tls) {
		if (!tls) return 'No handshakes yet';
		const sum = counts => Object.values(counts).reduce((a, b) => a + b, 0);
		const completed = sum(tls.handshakes);
		return `${plural(completed, 'handshake')}, ${count(tls.resumed)} resumed, ${count(sum(tls.failed))} failed`;
	}

	// As in page.go.
	function http2(total) {
		const ended = Object.values(total.http2?.ended ?? {}).reduce((a, b) => a + b, 0);
		const text = plural(total.versions?.['2'] ?? 0, 'request');
		return ended ? `${text}, ${plural(ended, 'connection error')}` : text;
	}

	function showProblems(problems) {
		const list = element('problems'), all = problems.length ? problems : [{text: 'No problems'}];
		while (list.children.length > all.length) list.lastElementChild.remove();
		all.forEach((problem, i) => {
			const item = list.children[i] ?? list.appendChild(document.createElement('li'));
			write(item, visible(problem.text));
			attribute(item, 'data-severity', problem.severity ?? '');
		});
	}

	function show(pool) {
		const state = stateName(pool.state), history = pool.history ?? [];
		showState(pool.state, state);
		document.title = `${state} – Phalanx ${visible(pool.address)}`;
		showProblems(pool.problems ?? []);
		showFigures(pool.total);
		showChart('rate', pool.total.rate, history.map(p => p.rate), rate);
		showChart('bandwidth', pool.total.bandwidth, history.map(p => p.bandwidth), n => size(n) + '/s');
		showChart('p99', pool.total.p99, history.map(p => p.p99), seconds);
		showWorkers(pool);
		showCertificates(pool);
		write(element('handshakes'), handshakes(pool.total.tls));
		write(element('http2'), http2(pool.total));
		write(element('up'), age(pool.uptime));
		for (const name of ['slots', 'reloads', 'pid']) write(element(name), pool[name]);
		for (const name of ['address', 'base', 'model']) write(element(name), visible(pool[name]));
	}

	let timer = 0, asking = false, paused = false, lost = '';

	// A server of another version may have another page.
	async function ask() {
		const reply = await fetch('status.json', {cache: 'no-store', signal: AbortSignal.timeout(timeout)});
		if (!reply.ok) throw new Error('the pool did not respond');
		const pool = await reply.json();
		if (visible(pool.version) !== element('version').textContent) return location.reload();
		lost = '';
		show(pool);
	}

	async function refresh() {
		clearTimeout(timer);
		if (asking || paused || document.hidden) return;
		asking = true;
		try {
			await ask();
		} catch (error) {
			lost ||= new Date().toTimeString().slice(0, 8);
			const who = error.message === 'the pool did not respond' ? 'the pool' : 'the server';
			showState('lost', `no response from ${who} since ${lost}; retrying`);
			document.title = 'not responding – Phalanx';
		}
		asking = false;
		timer = setTimeout(refresh, period);
	}

	const button = element('pause');
	button.hidden = false;
	button.addEventListener('click', () => {
		paused = !paused;
		button.classList.toggle('paused', paused);
		write(button, paused ? 'Resume' : 'Pause');
		refresh();
	});
	document.addEventListener('visibilitychange', refresh);
	timer = setTimeout(refresh, period);
})();
