import { AlertDialog } from '@base-ui/react/alert-dialog';
import { useState } from 'react';
import { api, type Device } from '../lib/api';
import { problemText } from '../lib/problem';
import { navigate } from '../lib/router';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { Name, Notice } from './basics';

export function RemoveDevice({ device }: { device: Device }) {
	const [problem, setProblem] = useState<string | null>(null);
	const [shown, setShown] = useState(false);
	const remove = async () => {
		try {
			await api.removeDevice(device.id);
			setShown(false);
			navigate('/devices');
		} catch (error) {
			setProblem(problemText(error));
		}
	};
	return (
		<AlertDialog.Root open={shown} onOpenChange={(now) => (setShown(now), setProblem(null))}>
			<AlertDialog.Trigger className={u.button}>{t.device.remove}</AlertDialog.Trigger>
			<AlertDialog.Portal>
				<AlertDialog.Backdrop className={u.backdrop} />
				<AlertDialog.Popup className={u.dialog}>
					<AlertDialog.Title>{t.device.removeTitle}</AlertDialog.Title>
					<b>
						<Name text={device.name} />
					</b>
					<AlertDialog.Description>{t.device.removeText}</AlertDialog.Description>
					{problem && (
						<Notice kind="danger" role="alert">
							<p>{t.device.removeFailed}</p>
							<p>{problem}</p>
						</Notice>
					)}
					<div className={`${u.row} ${u.end}`}>
						<AlertDialog.Close className={u.button}>{t.cancel}</AlertDialog.Close>
						<button type="button" className={`${u.button} ${u.risky}`} onClick={() => void remove()}>
							{t.device.remove}
						</button>
					</div>
				</AlertDialog.Popup>
			</AlertDialog.Portal>
		</AlertDialog.Root>
	);
}
