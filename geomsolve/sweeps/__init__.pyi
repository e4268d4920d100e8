from .running import SweepResult as SweepResult
from .running import sweep as sweep
from .tables import SweepTable as SweepTable
from .tables import export_sweep as export_sweep
from .tables import load_sweep as load_sweep
