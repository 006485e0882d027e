// The rows of the audit log as words.
import { dateTime } from '../text/format';

const MOMENTS = new Set(['expires', 'at', 'started', 'ended', 'until']);
const YEAR_2001_MS = 1e12;

function valueText(key: string, value: unknown): string {
	if (typeof value === 'number' && MOMENTS.has(key) && value > YEAR_2001_MS) return dateTime(value);
	return value !== null && typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** The detail object as "key value, key value": short enough to read, nothing left out. */
export function detailText(detail: unknown): string {
	if (detail === null || detail === undefined) return '';
	if (typeof detail !== 'object') return String(detail);
	return Object.entries(detail)
		.map(([key, value]) => `${key} ${valueText(key, value)}`)
		.join(', ');
}
