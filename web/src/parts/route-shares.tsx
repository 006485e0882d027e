// How sessions travelled in the last days, place by place: the share of each route, the worst places, what to change.
import { useCallback, useEffect, useState } from 'react';
import { api, type PlaceRoutes } from '../lib/api';
import { problemText } from '../lib/problem';
import { place as address, setParameter } from '../lib/router';
import { useStore } from '../lib/store';
import { CopyButton, Name, Notice, Segments } from './basics';
import { RouteGlyph } from './icons';
import { remedyText, ruleText, verdictText } from '../session/verdict';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { addUp, problems, worstFirst } from '../session/shares';
import s from './route-shares.module.css';

const METHODS = ['local', 'punched', 'relayed', 'none'] as const;
const SPANS = ['1', '7', '30', '90'] as const;
const CAUSES = 4;
type Span = (typeof SPANS)[number];

/** The control that chooses the days, kept in the address. */
export function Days() {
	return (
		<Segments<Span>
			label={t.network.days}
			value={useDays()}
			options={SPANS.map((span) => [span, t.network.day(Number(span))] as const)}
			onChange={(value) => setParameter('days', value === '7' ? '' : value)}
		/>
	);
}

function useDays(): Span {
	const wish = new URLSearchParams(useStore(address).search).get('days') as Span;
	return SPANS.includes(wish) ? wish : '7';
}

export function RouteShares() {
	const days = useDays();
	const [places, setPlaces] = useState<PlaceRoutes[] | null>(null);
	const [problem, setProblem] = useState<string | null>(null);
	const load = useCallback(async () => {
		setProblem(null);
		try {
			setPlaces((await api.routes(Number(days))).places);
		} catch (error) {
			setProblem(problemText(error));
		}
	}, [days]);
	useEffect(() => void load(), [load]);
	const total = places && addUp(places);
	const allGood = total !== null && total.sessions > 0 && total.local === total.sessions;
	return (
		<div className={s.list}>
			{problem && (
				<Notice kind="danger" role="alert">
					<p>{t.network.failed}</p>
					<p>{problem}</p>
					<button type="button" className={u.button} onClick={() => void load()}>
						{t.retry}
					</button>
				</Notice>
			)}
			{!places && !problem && <p className={u.wait}>{t.loading}</p>}
			{total?.sessions === 0 && <Empty title={t.network.noneTitle} text={t.network.noneText} />}
			{total && total.sessions > 0 && <Share total={total} />}
			{allGood && <Empty title={t.network.emptyTitle} text={t.network.emptyText} />}
			{places && total && total.sessions > 0 && <Places places={places} />}
		</div>
	);
}

function Empty({ title, text }: { title: string; text: string }) {
	return (
		<section className={s.card}>
			<h2>{title}</h2>
			<p>{text}</p>
		</section>
	);
}

type Counts = Pick<PlaceRoutes, 'sessions' | 'local' | 'punched' | 'relayed' | 'none'>;

/** One bar, its parts side by side; the numbers stand beside it, so it is hidden from screen readers. */
function Bar({ of }: { of: Counts }) {
	return (
		<span className={s.bar} aria-hidden>
			{METHODS.map((method) => of[method] > 0 && <span key={method} data-method={method} style={{ flexGrow: of[method] }} />)}
		</span>
	);
}

function Share({ total }: { total: Counts }) {
	return (
		<section className={s.card} aria-labelledby="share">
			<div className={s.line}>
				<h2 id="share">{t.network.share}</h2>
				<span className={`${s.soft} num`}>{t.network.sessions(total.sessions)}</span>
			</div>
			<Bar of={total} />
			<dl className={`${s.legend} num`}>
				{METHODS.map((method) => (
					<div key={method} data-method={method}>
						<dt>
							<RouteGlyph method={method} size={20} />
							{t.route[method]}
						</dt>
						<dd>
							<b>{t.network.percent(total[method] / total.sessions)}</b> <span>{t.network.sessions(total[method])}</span>
						</dd>
					</div>
				))}
			</dl>
		</section>
	);
}

function Places({ places }: { places: PlaceRoutes[] }) {
	return (
		<section className={s.places} aria-labelledby="worst">
			<h2 id="worst">{t.network.worst}</h2>
			<p className={s.soft}>{t.network.worstLead}</p>
			<ul>
				{worstFirst(places).map((one) => (
					<li key={one.place} className={s.card}>
						<Place of={one} />
					</li>
				))}
			</ul>
		</section>
	);
}

function Place({ of }: { of: PlaceRoutes }) {
	const causes = problems(of);
	return (
		<>
			<div className={s.line}>
				<h3>{of.place === 'hub' || of.name === '' ? t.network.hub : <Name text={of.name} />}</h3>
				<span className={`${s.soft} num`}>{t.network.sessions(of.sessions)}</span>
			</div>
			<Bar of={of} />
			<p className={`${s.counts} num`}>
				{METHODS.filter((method) => of[method] > 0).map((method) => (
					<span key={method} data-method={method}>
						<RouteGlyph method={method} size={18} />
						{t.route[method]} <bdi>{t.network.part(of[method], t.network.percent(of[method] / of.sessions))}</bdi>
					</span>
				))}
			</p>
			{causes.length === 0 && <p className={s.soft}>{t.network.good}</p>}
			{causes.slice(0, CAUSES).map((cause, index) => (
				<div key={index} className={s.cause}>
					<p>
						{verdictText(cause)} <span className={`${s.soft} num`}>{t.network.times(cause.count)}</span>
					</p>
					{cause.remedy.slice(0, 2).map((remedy, at) => {
						const rule = ruleText(remedy, '');
						return (
							<div key={at} className={s.remedy}>
								<p className={s.soft}>{remedyText(remedy)}</p>
								<div className={s.rule}>
									<code dir="ltr">{rule}</code>
									<CopyButton text={rule} />
								</div>
							</div>
						);
					})}
				</div>
			))}
		</>
	);
}

