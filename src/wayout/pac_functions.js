// What a PAC file may call. Names are resolved and the machine's addresses found by three functions of the
// host program: fairleadResolve(name) and fairleadOwn() give arrays of addresses as text, fairleadNow() the
// milliseconds since 1970.
"use strict";
(function (global) {
	const days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
	const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

	function v4(text) {
		const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(String(text));
		if (!parts || parts.slice(1).some((p) => Number(p) > 255)) return null;
		return parts.slice(1).map(Number);
	}

	function v6(text) {
		let s = String(text).split("%")[0].toLowerCase();
		const tail = s.slice(s.lastIndexOf(":") + 1);
		if (tail.includes(".")) {
			const b = v4(tail);
			if (!b) return null;
			s = s.slice(0, -tail.length) + ((b[0] << 8) | b[1]).toString(16) + ":" + ((b[2] << 8) | b[3]).toString(16);
		}
		const halves = s.split("::");
		if (halves.length > 2 || !s.includes(":")) return null;
		const groups = halves.map((h) => (h === "" ? [] : h.split(":")));
		const missing = 8 - groups[0].length - (groups[1] ? groups[1].length : 0);
		if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
		const all = halves.length === 1 ? groups[0] : [...groups[0], ...Array(missing).fill("0"), ...groups[1]];
		if (all.some((g) => !/^[0-9a-f]{1,4}$/.test(g))) return null;
		return all.flatMap((g) => [parseInt(g, 16) >> 8, parseInt(g, 16) & 255]);
	}

	const bytes = (text) => v4(text) || v6(text);

	function samePrefix(a, b, bits) {
		if (!a || !b || a.length !== b.length) return false;
		for (let i = 0; i < a.length && bits > 0; i++, bits -= 8) {
			const mask = bits >= 8 ? 255 : (255 << (8 - bits)) & 255;
			if ((a[i] & mask) !== (b[i] & mask)) return false;
		}
		return true;
	}

	function resolve(host) {
		return bytes(host) ? [String(host)] : fairleadResolve(String(host));
	}

	function between(value, first, last) {
		return first <= last ? value >= first && value <= last : value >= first || value <= last;
	}

	// The time as the file wants it: in UTC when the last argument is "GMT".
	function clock(args) {
		const list = Array.from(args);
		const gmt = String(list[list.length - 1]).toUpperCase() === "GMT";
		if (gmt) list.pop();
		const now = new Date(fairleadNow());
		const get = (what) => (gmt ? now["getUTC" + what]() : now["get" + what]());
		return { list, get };
	}

	const functions = {
		isPlainHostName: (host) => !String(host).includes(".") && !v6(host),
		dnsDomainIs: (host, domain) => String(host).toLowerCase().endsWith(String(domain).toLowerCase()),
		localHostOrDomainIs: (host, full) => {
			const a = String(host).toLowerCase();
			const b = String(full).toLowerCase();
			return a === b || (!a.includes(".") && b.startsWith(a + "."));
		},
		isResolvable: (host) => resolve(host).some((a) => v4(a)),
		isResolvableEx: (host) => resolve(host).length > 0,
		dnsResolve: (host) => resolve(host).find((a) => v4(a)) || null,
		dnsResolveEx: (host) => resolve(host).join(";"),
		myIpAddress: () => fairleadOwn().find((a) => v4(a)) || "127.0.0.1",
		myIpAddressEx: () => fairleadOwn().join(";"),
		dnsDomainLevels: (host) => String(host).split(".").length - 1,
		convert_addr: (text) => {
			const b = v4(text);
			return b ? ((b[0] << 24) | (b[1] << 16) | (b[2] << 8) | b[3]) >>> 0 : 0;
		},
		isInNet: (host, pattern, mask) => {
			const net = v4(pattern);
			const m = v4(mask);
			const at = v4(functions.dnsResolve(host));
			return !!(net && m && at) && at.every((b, i) => (b & m[i]) === (net[i] & m[i]));
		},
		isInNetEx: (host, prefix) => {
			const [net, bits] = String(prefix).split("/");
			if (!/^\d{1,3}$/.test(bits || "")) return false;
			return resolve(host).some((a) => samePrefix(bytes(a), bytes(net), Number(bits)));
		},
		sortIpAddressList: (list) => {
			const all = String(list).split(";").map((s) => s.trim());
			if (all.some((a) => !bytes(a))) return false;
			const key = (a) => bytes(a).map((b) => b.toString(16).padStart(2, "0")).join("");
			return all
				.sort((a, b) => bytes(b).length - bytes(a).length || (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0))
				.join(";");
		},
		shExpMatch: (text, pattern) => {
			// without backtracking: where the last * was, and what it has taken so far
			const s = String(text);
			const p = String(pattern);
			let i = 0, k = 0, star = -1, mark = 0;
			while (i < s.length) {
				if (k < p.length && (p[k] === "?" || p[k] === s[i]) && p[k] !== "*") {
					i++;
					k++;
				} else if (p[k] === "*") {
					star = k++;
					mark = i;
				} else if (star >= 0) {
					k = star + 1;
					i = ++mark;
				} else {
					return false;
				}
			}
			while (p[k] === "*") k++;
			return k === p.length;
		},
		weekdayRange: (...args) => {
			const { list, get } = clock(args);
			const at = list.map((d) => days.indexOf(String(d).toUpperCase()));
			if (at.length < 1 || at.length > 2 || at.includes(-1)) return false;
			return between(get("Day"), at[0], at[at.length - 1]);
		},
		timeRange: (...args) => {
			const { list, get } = clock(args);
			const n = list.map(Number);
			if (n.some((x) => !Number.isInteger(x))) return false;
			const seconds = get("Hours") * 3600 + get("Minutes") * 60 + get("Seconds");
			if (n.length === 1) return get("Hours") === n[0];
			if (n.length === 2) return between(seconds, n[0] * 3600, n[1] * 3600);
			if (n.length === 4) return between(seconds, n[0] * 3600 + n[1] * 60, n[2] * 3600 + n[3] * 60);
			if (n.length === 6)
				return between(seconds, n[0] * 3600 + n[1] * 60 + n[2], n[3] * 3600 + n[4] * 60 + n[5]);
			return false;
		},
		dateRange: (...args) => {
			const { list, get } = clock(args);
			const parts = list.map((a) => {
				const month = months.indexOf(String(a).toUpperCase());
				if (month >= 0) return { month };
				const n = Number(a);
				return !Number.isInteger(n) ? null : n > 31 ? { year: n } : { day: n };
			});
			if (parts.length === 0 || parts.includes(null)) return false;
			const half = parts.length === 1 ? 1 : parts.length / 2;
			if (!Number.isInteger(half)) return false;
			const first = Object.assign({}, ...parts.slice(0, half));
			const last = Object.assign({}, ...parts.slice(parts.length - half));
			const now = { year: get("FullYear"), month: get("Month"), day: get("Date") };
			const rank = (d) =>
				("year" in first ? d.year * 10000 : 0) + ("month" in first ? d.month * 100 : 0) + ("day" in first ? d.day : 0);
			return between(rank(now), rank(first), rank({ ...first, ...last }));
		},
		alert: () => undefined,
	};

	for (const [name, fn] of Object.entries(functions))
		Object.defineProperty(global, name, { value: fn, writable: true, configurable: true });
})(globalThis);
