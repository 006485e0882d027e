// The verdict of the hub in the reader's language: by its words for cause, side and gain; the hub's own sentence where
// this console does not know the word.
import type { Remedy, Route, Side, Verdict } from '../lib/api';
import { visible } from '../lib/hostile';
import { t } from '../text';
import { isPrivate } from './route';

const own = <T>(table: Record<string, T>, key: string): T | undefined => (Object.hasOwn(table, key) ? table[key] : undefined);

/** The cause as a sentence; null when the word is not known here. */
export function causeText(cause: string, side: Verdict['side'], method: Route['method']): string | null {
	const known = own(t.verdict.cause, cause);
	if (!known) return null;
	if (method === 'none' && known.none) return known.none;
	return (side === 'none' ? undefined : known[side]) ?? known.any ?? null;
}

/** What a reader is told first: which way, and why. */
export function verdictText(verdict: Pick<Verdict, 'cause' | 'side' | 'method' | 'sentence'>): string {
	const cause = causeText(verdict.cause, verdict.side, verdict.method);
	if (cause === null) return visible(verdict.sentence);
	return `${t.verdict[verdict.method]} ${cause}`;
}

export const remedyText = (remedy: Remedy): string => own(t.verdict.gain, remedy.gain)?.[remedy.side] ?? visible(remedy.text);

/** The rule that a firewall needs, in the notation of no maker: from → to, what, replies come back by state. */
export function ruleText(remedy: Remedy, from: string): string {
	const host = remedy.host === '*' || remedy.host === '' ? t.verdict.anyHost : visible(remedy.host);
	const ports = remedy.ports === '*' || remedy.ports === '' ? t.verdict.anyPort : visible(remedy.ports);
	return t.verdict.rule(from ? visible(from) : t.verdict.fromUnknown[remedy.side], remedy.protocol, host, ports);
}

/**
 * The address that a rule for this side begins with, as a firewall there sees it: its own, untranslated one. Empty when
 * neither end told it.
 */
export function insideAddress(side: Side, routes: { console: Route | null; device: Route | null }, listed: string): string {
	const named = (route: Route | null, which: 'local' | 'remote') =>
		[...(route?.candidates ?? [])].filter((c) => c.side === which && c.type === 'host' && c.address !== '' && !c.address.includes(':')).map((c) => c.address);
	const [mine, theirs] = side === 'console' ? [routes.console, routes.device] : [routes.device, routes.console];
	const all = [...(side === 'device' && listed ? [listed] : []), ...named(mine, 'local'), ...named(theirs, 'remote')];
	return all.find(isPrivate) ?? all[0] ?? '';
}
