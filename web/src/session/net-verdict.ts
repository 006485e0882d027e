// What the answers of net-probe.ts mean: one line for each, with cause and remedy, and which of the three methods work.
import { milliseconds } from '../text/format';
import { tn } from '../text/network';
import type { Facts, StunAnswer, TurnAnswer } from './net-probe';

export type State = 'good' | 'warn' | 'bad' | 'unknown' | 'running';
export interface Line {
	key: string;
	name: string;
	/** host and port that were asked */
	place: string;
	state: State;
	say: string;
	took: string;
	/** our address as the server saw it */
	seenAs: string;
	/** a server's or the browser's own words */
	said: string;
	fix: string;
}
export interface MethodLine {
	number: 1 | 2 | 3;
	verdict: 'yes' | 'likely' | 'limited' | 'no' | 'unknown';
	say: string;
}

const line = (key: string, step: string, place: string, state: State, say: string, more: Partial<Line> = {}): Line => ({
	key, name: tn.test.name[step] ?? step, place, state, say, took: '', seenAs: '', said: '', fix: '', ...more,
});
const took = (ms: number): string => tn.test.took(milliseconds(ms));

function hubLine({ hub, place }: Facts): Line {
	const { say } = tn.test;
	if (!hub) return line('hub', 'hub', place, 'running', '');
	if (hub.outcome === 'silent') return line('hub', 'hub', place, 'bad', say.hub.silent, { fix: tn.test.fixes.hubSilent(place) });
	if (hub.outcome === 'foreign') return line('hub', 'hub', place, 'bad', say.hub.foreign, { fix: tn.test.fixes.hubForeign(place) });
	if (hub.outcome === 'cached') return line('hub', 'hub', place, 'warn', say.hub.cached, { fix: tn.test.fixes.hubCached(place) });
	if (hub.clockOff !== 0) return line('hub', 'hub', place, 'warn', say.hub.clock(hub.clockOff), { fix: tn.test.fixes.clock });
	return line('hub', 'hub', place, 'good', say.hub.good, { took: took(hub.ms) });
}

const hubAnswers = ({ hub }: Facts): boolean => hub?.outcome === 'good' || hub?.outcome === 'cached';

function realtimeLine(facts: Facts): Line {
	const { realtime, hub, place } = facts;
	const { say } = tn.test;
	if (!realtime || (realtime.outcome !== 'good' && !hub)) return line('realtime', 'realtime', place, 'running', '');
	if (realtime.outcome === 'good') return line('realtime', 'realtime', place, 'good', say.realtime.good, { took: took(realtime.ms) });
	if (!hubAnswers(facts)) return line('realtime', 'realtime', place, 'unknown', say.realtime.unasked);
	const text = realtime.outcome === 'mute' ? say.realtime.mute : say.realtime.closed;
	return line('realtime', 'realtime', place, 'bad', text, { fix: tn.test.fixes.realtime(place) });
}

function stunLine(answer: StunAnswer | null, index: number): Line {
	const { say, fixes } = tn.test;
	const key = `stun ${index}`;
	if (!answer) return line(key, 'stun', '', 'running', '');
	const { outcome, place } = answer;
	if (outcome === 'good') return line(key, 'stun', place, 'good', say.stun.good, { took: took(answer.ms), seenAs: answer.mapped });
	if (outcome === 'unclear') return line(key, 'stun', place, 'unknown', say.stun.unclear);
	return line(key, 'stun', place, 'bad', say.stun[outcome], { said: answer.error, fix: outcome === 'name' ? fixes.name(place) : fixes.udp(place) });
}

function mappingLine({ mapping, stun }: Facts): Line | null {
	if (stun.length === 0 || mapping === 'blocked') return null;
	if (!mapping) return line('mapping', 'mapping', '', 'running', '');
	const state = mapping === 'changing' ? 'warn' : mapping === 'unclear' ? 'unknown' : 'good';
	return line('mapping', 'mapping', '', state, tn.test.say.mapping[mapping], { fix: mapping === 'changing' ? tn.test.fixes.mapping : '' });
}

function turnFix({ outcome, transport, place, code }: TurnAnswer): string {
	const { fixes } = tn.test;
	if (outcome === 'good') return '';
	if (outcome === 'name') return fixes.name(place);
	if (outcome === 'refused') return code === 401 || code === 438 ? fixes.refused401 : code === 486 ? fixes.refused486 : fixes.refused(code);
	return fixes[transport](place);
}

function turnLine(answer: TurnAnswer | null, index: number): Line {
	const key = `turn ${index}`;
	if (!answer) return line(key, 'relay', '', 'running', '');
	const state = answer.outcome === 'good' ? 'good' : 'bad';
	const more = { took: state === 'good' ? took(answer.ms) : '', said: answer.error, fix: turnFix(answer) };
	return line(key, `turn-${answer.transport}`, answer.place, state, tn.test.say.turn[answer.outcome], more);
}

function turnLines({ turn, webrtc }: Facts): Line[] {
	const { say } = tn.test;
	if (!webrtc) return [];
	if (turn === null) return [line('turn', 'relay', '', 'running', '')];
	if (turn === 'out') return [line('turn', 'relay', '', 'unknown', say.turn.untested)];
	if (turn === 'none') return [line('turn', 'relay', '', 'unknown', say.turn.none)];
	if (turn === 'asked') return [line('turn', 'relay', '', 'unknown', say.turn.asked)];
	return turn.map(turnLine);
}

/** In the order in which things build on each other. */
export function lines(facts: Facts): Line[] {
	const { say, fixes } = tn.test;
	const webrtc = facts.webrtc ? line('webrtc', 'webrtc', '', 'good', say.webrtc.good) : line('webrtc', 'webrtc', '', 'bad', say.webrtc.off, { fix: fixes.webrtc });
	const stun = facts.stun.length > 0 || !facts.webrtc ? facts.stun.map(stunLine) : [line('stun', 'stun', '', 'unknown', say.stun.none)];
	return [hubLine(facts), realtimeLine(facts), webrtc, ...stun, mappingLine(facts) ?? [], ...turnLines(facts)].flat();
}

const basics = (facts: Facts): boolean => hubAnswers(facts) && facts.realtime?.outcome === 'good' && facts.webrtc;

function punched(facts: Facts): MethodLine {
	const { verdict } = tn.test;
	const say = (word: MethodLine['verdict'], text: string): MethodLine => ({ number: 2, verdict: word, say: text });
	const udp = Array.isArray(facts.turn) && facts.turn.some((one) => one?.transport === 'udp' && one.outcome === 'good');
	const asked = facts.stun.filter((one) => one !== null);
	if (!basics(facts)) return say('no', verdict[2].basics);
	if (!asked.some((one) => one.outcome === 'good')) {
		if (udp) return say('likely', verdict[2].likely);
		if (asked.some((one) => one.outcome === 'silent' || one.outcome === 'failed')) return say('no', verdict[2].no);
		return say('unknown', verdict[2].unknown);
	}
	if (facts.mapping === 'changing') return say('limited', verdict[2].limited);
	return facts.mapping === 'same' || facts.mapping === 'none' ? say('yes', verdict[2].yes) : say('likely', verdict[2].likely);
}

function relayed(facts: Facts): MethodLine {
	const { verdict, transports, list } = tn.test;
	const say = (word: MethodLine['verdict'], text: string): MethodLine => ({ number: 3, verdict: word, say: text });
	if (!basics(facts)) return say('no', verdict[3].basics);
	if (facts.turn === 'none') return say('no', verdict[3].none);
	if (facts.turn === 'asked') return say('unknown', verdict[3].asked);
	if (!Array.isArray(facts.turn)) {
		const heard = facts.stun.some((one) => one?.outcome === 'good' && facts.relayPlaces.includes(one.place));
		return heard ? say('likely', verdict[3].likely) : say('unknown', verdict[3].unknown);
	}
	const working = [...new Set(facts.turn.flatMap((one) => (one?.outcome === 'good' ? one.transport : [])))];
	if (working.length === 0) return say('no', verdict[3].no);
	const words = list(working.map((one) => transports[one] ?? one));
	return working.includes('udp') ? say('yes', verdict[3].yes(words)) : say('limited', verdict[3].limited(words));
}

/** Once everything was asked. */
export function methods(facts: Facts): MethodLine[] {
	const local: MethodLine = basics(facts)
		? { number: 1, verdict: 'likely', say: tn.test.verdict[1].likely }
		: { number: 1, verdict: 'no', say: tn.test.verdict[1].no };
	return [local, punched(facts), relayed(facts)];
}

/** As plain text, to be passed on. */
export function asText(facts: Facts, at: string): string {
	const one = (l: Line) =>
		[`${tn.test.states[l.state]}: ${l.name}${l.place ? ` (${l.place})` : ''}. ${l.say} ${l.took}`.trim(), l.seenAs && `  ${tn.test.seenAs} ${l.seenAs}`,
			l.said && `  ${tn.test.serverSaid}: ${l.said}`, l.fix && `  ${tn.test.fix}: ${l.fix}`].filter(Boolean);
	return [`${tn.testTitle}: ${facts.place}, ${at}`, '', ...lines(facts).flatMap(one), '',
		...methods(facts).map((m) => `${tn.method(m.number)} (${tn.methodName[m.number]}): ${tn.test.verdicts[m.verdict]}. ${m.say}`), ''].join('\n');
}
