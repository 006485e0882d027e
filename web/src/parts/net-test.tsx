// The test of the network that this browser is in: one line for each thing that was asked, then the three methods.
import { CircleAlert, CircleCheck, CircleHelp, LoaderCircle, TriangleAlert } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { account } from '../lib/account';
import { visible } from '../lib/hostile';
import type { Needs } from '../lib/needs';
import { useStore } from '../lib/store';
import { probe, type Facts } from '../session/net-probe';
import { asText, lines, methods, type Line, type MethodLine, type State } from '../session/net-verdict';
import u from '../styles/ui.module.css';
import { dateTime } from '../text/format';
import { tn } from '../text/network';
import { CopyButton, Link } from './basics';
import { RouteGlyph } from './icons';
import s from './net-test.module.css';

const ICONS = { good: CircleCheck, warn: TriangleAlert, bad: CircleAlert, unknown: CircleHelp, running: LoaderCircle } as const;
const STATES = { yes: 'good', likely: 'good', limited: 'warn', no: 'bad', unknown: 'unknown' } as const;
const GLYPHS = { 1: 'local', 2: 'punched', 3: 'relayed' } as const;

interface Run {
	facts: Facts;
	/** when it ended; null while it runs */
	ended: number | null;
}

/** @param needs null where the hub's list could not be had; what can be asked without it is asked */
export function NetTest({ needs }: { needs: Needs | null }) {
	const signedIn = useStore(account).state === 'in';
	const [run, setRun] = useState<Run | null>(null);
	const current = useRef(0);
	useEffect(() => () => void current.current++, []);
	const start = async () => {
		const mine = ++current.current;
		const still = () => current.current === mine;
		const facts = await probe(needs, signedIn, (so) => still() && setRun({ facts: so, ended: null }));
		if (still()) setRun({ facts, ended: Date.now() });
	};
	const running = run !== null && run.ended === null;
	const problems = run ? lines(run.facts).filter((l) => l.state === 'bad' || l.state === 'warn').length : 0;
	return (
		<div className={s.doc}>
			<section className={s.card} aria-label={tn.testTitle}>
				<p>{tn.test.intro}</p>
				{!signedIn && (
					<p>
						{tn.test.signInText} <Link to="/sign-in?next=%2Fnetwork%3Fview%3Dtest">{tn.signIn}</Link>
					</p>
				)}
				<div className={u.row}>
					<button type="button" className={`${u.button} ${u.primary}`} aria-disabled={running || undefined} onClick={() => !running && void start()}>
						{run ? tn.test.again : tn.test.start}
					</button>
					{run?.ended && <CopyButton text={asText(run.facts, dateTime(run.ended))} label={tn.test.copy} />}
					<span role="status" className={s.soft}>
						{running ? tn.test.running : run ? tn.test.done(problems) : ''}
					</span>
				</div>
			</section>
			{run?.ended && <Methods of={methods(run.facts)} />}
			{run && (
				<section aria-labelledby="results">
					<h2 id="results">{tn.test.results}</h2>
					<ul className={s.lines}>
						{lines(run.facts).map((one) => (
							<Result key={one.key} of={one} />
						))}
					</ul>
				</section>
			)}
			<p className={s.soft}>{tn.test.limits}</p>
		</div>
	);
}

function StateMark({ state, word }: { state: State; word: string }) {
	const Icon = ICONS[state];
	return (
		<span className={s.state} data-state={state}>
			<Icon size={17} strokeWidth={1.9} aria-hidden />
			<b>{word}</b>
		</span>
	);
}

function Methods({ of }: { of: MethodLine[] }) {
	return (
		<section aria-labelledby="works">
			<h2 id="works">{tn.test.methods}</h2>
			<ol className={s.methods}>
				{of.map(({ number, verdict, say }) => (
					<li key={number} className={s.card} data-verdict={verdict}>
						<h3>
							<RouteGlyph method={GLYPHS[number]} size={24} />
							{tn.method(number)}: {tn.methodName[number]}
						</h3>
						<StateMark state={STATES[verdict]} word={tn.test.verdicts[verdict] ?? verdict} />
						<p>{say}</p>
					</li>
				))}
			</ol>
		</section>
	);
}

function Result({ of }: { of: Line }) {
	return (
		<li data-step={of.key} data-state={of.state}>
			<StateMark state={of.state} word={tn.test.states[of.state] ?? of.state} />
			<div>
				<h3>
					{of.name} {of.place && <bdi className="mono">{of.place}</bdi>}
				</h3>
				<p>
					{of.say} {of.took && <bdi className="num">{of.took}</bdi>}
				</p>
				{of.seenAs && (
					<p className={s.soft}>
						{tn.test.seenAs} <bdi className="mono">{of.seenAs}</bdi>
					</p>
				)}
				{of.said && (
					<p className={s.soft}>
						{tn.test.serverSaid} <bdi>{visible(of.said)}</bdi>
					</p>
				)}
				{of.fix && (
					<p className={s.fix}>
						<b>{tn.test.fix}</b> {of.fix}
					</p>
				)}
			</div>
		</li>
	);
}
