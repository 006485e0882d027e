// Makes an enrolment token and shows the command that uses it.
import { useState } from 'react';
import { api } from '../lib/api';
import { problemText } from '../lib/problem';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { time } from '../text/format';
import { CopyButton, Notice } from './basics';

export function enrolCommand(hub: string, token: string): string {
	return `fairlead-client --hub ${hub} --enrol ${token} --data /var/lib/fairlead`;
}

export function EnrolCommand() {
	const [made, setMade] = useState<{ token: string; expires: number } | null>(null);
	const [problem, setProblem] = useState<string | null>(null);
	const [busy, setBusy] = useState(false);
	const make = async () => {
		setBusy(true);
		setProblem(null);
		try {
			setMade(await api.enrolmentToken());
		} catch (error) {
			setProblem(problemText(error));
		}
		setBusy(false);
	};
	if (made)
		return (
			<>
				<div className={u.code} role="group" aria-label={t.devices.command}>
					<code tabIndex={0}>{enrolCommand(location.origin, made.token)}</code>
					<CopyButton text={enrolCommand(location.origin, made.token)} />
				</div>
				<p className="num">{t.devices.expires(time(made.expires))}</p>
			</>
		);
	return (
		<>
			{problem && (
				<Notice kind="danger" role="alert">
					<p>{t.devices.tokenFailed}</p>
					<p>{problem}</p>
				</Notice>
			)}
			<button type="button" className={`${u.button} ${u.primary}`} onClick={() => void make()} disabled={busy}>
				{t.devices.makeToken}
			</button>
		</>
	);
}
