from .problems import ZooProblem as ZooProblem
from .problems import names as names
from .problems import problem as problem
