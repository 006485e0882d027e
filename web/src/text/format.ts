// Dates, times and measured values in the language of the catalogue.
import { t } from './index';

/** The catalogue's language as this person's browser writes it: English dates differ between countries. */
function locale(): string {
	const own = typeof navigator === 'undefined' ? [] : navigator.languages;
	return own.find((tag) => tag === t.language || tag.startsWith(`${t.language}-`)) ?? t.language;
}

const cache = new Map<string, Intl.DateTimeFormat>();
function dates(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
	const key = locale() + JSON.stringify(options);
	let format = cache.get(key);
	if (!format) cache.set(key, (format = new Intl.DateTimeFormat(locale(), options)));
	return format;
}

/** Hour and minute, always 24 hours: "10:42". */
export function time(at: number): string {
	return dates({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(at);
}

export function dateTime(at: number): string {
	return dates({ day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(at);
}

export function day(at: number): string {
	return dates({ day: 'numeric', month: 'short', year: 'numeric' }).format(at);
}

export function sameDay(a: number, b: number): boolean {
	return new Date(a).toDateString() === new Date(b).toDateString();
}

/** The shortest unmistakable form: time today, weekday within six days, date before. */
export function moment(at: number, now = Date.now()): string {
	if (sameDay(at, now)) return time(at);
	if (now - at < 6 * 86_400_000 && now > at) return `${dates({ weekday: 'long' }).format(at)} ${time(at)}`;
	return day(at);
}

/** Milliseconds with one digit below 10: "0.4 ms", "21 ms". */
export function milliseconds(ms: number): string {
	const digits = ms < 9.95 ? 1 : 0;
	return `${new Intl.NumberFormat(t.language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(ms)} ms`;
}

/** A bit rate given in bits a second. */
export function bitRate(bits: number): string {
	return bits < 999_500 ? t.screen.kbit(Math.round(bits / 1000)) : t.screen.mbit(bits / 1_000_000);
}
