import { useCallback, useEffect, useState } from 'react';
import { api, type AuditRow } from '../lib/api';
import { problemText } from '../lib/problem';
import { detailText } from '../lib/audit';
import { deviceList } from '../lib/devices';
import { visible } from '../lib/hostile';
import { useStore } from '../lib/store';
import { Heading, Name, Notice, Time } from '../parts/basics';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { dateTime } from '../text/format';
import s from './audit.module.css';

const PAGE = 100;

const actionText = (action: string): string => (Object.hasOwn(t.audit.actions, action) ? t.audit.actions[action]! : action);

export default function Audit() {
	const [rows, setRows] = useState<AuditRow[] | null>(null);
	const [more, setMore] = useState(false);
	const [problem, setProblem] = useState<string | null>(null);
	const [filter, setFilter] = useState('');
	const { devices } = useStore(deviceList);
	const targetText = (row: AuditRow) => devices.get(row.target)?.name ?? row.target;

	const load = useCallback(async (before?: AuditRow) => {
		setProblem(null);
		try {
			const got = (await api.audit(PAGE, before?.id)).rows;
			setRows((now) => (before && now ? [...now, ...got] : got));
			setMore(got.length === PAGE);
		} catch (error) {
			setProblem(problemText(error));
		}
	}, []);
	useEffect(() => void load(), [load]);

	const textOf = (row: AuditRow) =>
		[row.actor, row.action, actionText(row.action), row.target, targetText(row), detailText(row.detail)].join('\n').toLowerCase();
	const word = filter.trim().toLowerCase();
	const shown = rows?.filter((row) => !word || textOf(row).includes(word));

	return (
		<main className={s.page} id="page">
			<div className={s.head}>
				<div>
					<Heading title={t.audit.title}>{t.audit.title}</Heading>
					<p>{t.audit.lead}</p>
				</div>
				<input
					className={u.input}
					data-filter
					role="searchbox"
					type="text"
					aria-label={t.audit.filter}
					placeholder={t.audit.filter}
					value={filter}
					onChange={(event) => setFilter(event.target.value)}
				/>
			</div>
			<div className={s.scroll} tabIndex={0} role="region" aria-label={t.audit.title}>
				{problem && (
					<div className={s.note}>
						<Notice kind="danger" role="alert">
							<p>{t.audit.failed}</p>
							<p>{problem}</p>
							<button type="button" className={u.button} onClick={() => void load(rows?.at(-1))}>
								{t.retry}
							</button>
						</Notice>
					</div>
				)}
				{!rows && !problem && <p className={u.wait}>{t.loading}</p>}
				{rows && shown?.length === 0 && <p className={u.wait}>{rows.length ? t.audit.noneMatch : t.audit.none}</p>}
				{shown && shown.length > 0 && (
					<table className={s.table} aria-label={t.audit.title}>
						<thead>
							<tr>
								<th scope="col">{t.audit.when}</th>
								<th scope="col">{t.audit.who}</th>
								<th scope="col">{t.audit.what}</th>
								<th scope="col">{t.audit.target}</th>
								<th scope="col">{t.audit.detail}</th>
							</tr>
						</thead>
						<tbody>
							{shown.map((row) => (
								<tr key={row.id}>
									<td className="num">
										<Time at={row.at}>{dateTime(row.at)}</Time>
									</td>
									<td>
										<Name text={row.actor} />
									</td>
									<td>
										<Name text={actionText(row.action)} />
									</td>
									<td title={visible(row.target)}>{row.target && <Name text={targetText(row)} />}</td>
									<td>{detailText(row.detail) && <Name text={detailText(row.detail)} />}</td>
								</tr>
							))}
						</tbody>
					</table>
				)}
				{more && (
					<div className={s.more}>
						<button type="button" className={u.button} onClick={() => void load(rows?.at(-1))}>
							{t.audit.more}
						</button>
					</div>
				)}
			</div>
		</main>
	);
}
